"""Words for tests that use the lab's machines."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ec2zfs.errors import HostError
from ec2zfs.lab.client import LabClient
from ec2zfs.lab.description import LabDescription
from ec2zfs.lab.faults import Fault
from ec2zfs.lab.login import login_argv

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import InstanceTypeDef, VolumeTypeDef

T = TypeVar("T")
BOOT = 400.0


def until(look: Callable[[], T], seconds: float = 60.0, pause: float = 0.3) -> T:
    """What is found at last. Pauses are longer than looks, with which an emulated machine would else be busy."""
    deadline = time.monotonic() + seconds
    begun = time.monotonic()
    while not (found := look()):
        now = time.monotonic()
        assert now < deadline, "it did not come true in time"
        time.sleep(max(pause, 2 * (now - begun)))
        begun = time.monotonic()
    return found


@contextmanager
def during(client: LabClient, fault: Fault) -> Iterator[None]:
    """The fault can happen in the `with` block, and not after it."""
    client.add(fault)
    try:
        yield
    finally:
        client.clear_faults()


def ssh(lab: LabDescription, machine: str, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(login_argv(lab, machine, command), capture_output=True, text=True, check=False, timeout=120)


def answers(lab: LabDescription, machine: str) -> bool:
    try:
        return ssh(lab, machine, "true").returncode == 0
    except HostError:
        return False


def printed(lab: LabDescription, machine: str, *command: str) -> str:
    done = ssh(lab, machine, *command)
    assert done.returncode == 0, done.stderr
    return done.stdout


def launch(lab: LabDescription, ec2: EC2Client, *, spot: bool = False) -> str:
    """An instance to which one can log in."""
    if "lab" not in {pair["KeyName"] for pair in ec2.describe_key_pairs()["KeyPairs"]}:
        ec2.import_key_pair(KeyName="lab", PublicKeyMaterial=lab.public_key.encode())
    instance_id = ec2.run_instances(
        ImageId=lab.image_id,
        InstanceType="m7a.medium",
        MinCount=1,
        MaxCount=1,
        KeyName="lab",
        Placement={"AvailabilityZone": lab.zone},
        **({"InstanceMarketOptions": {"MarketType": "spot"}} if spot else {}),  # type: ignore[arg-type]
    )["Instances"][0]["InstanceId"]
    until(lambda: state(ec2, instance_id) == "running")
    until(lambda: answers(lab, instance_id), BOOT)
    return instance_id


def describe(ec2: EC2Client, instance_id: str) -> InstanceTypeDef:
    return ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]


def state(ec2: EC2Client, instance_id: str) -> str:
    return str(describe(ec2, instance_id)["State"]["Name"])


def volume(ec2: EC2Client, volume_id: str) -> VolumeTypeDef:
    return ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]


def attached(ec2: EC2Client, volume_id: str) -> bool:
    attachments = volume(ec2, volume_id)["Attachments"]
    return bool(attachments) and attachments[0]["State"] == "attached"


def backing(lab: LabDescription, volume_id: str) -> Path:
    """The file in which the lab keeps what stands on the volume."""
    return Path(lab.directory) / "volumes" / f"{volume_id}.raw"


def delete_volumes(ec2: EC2Client, volume_ids: Sequence[str]) -> None:
    """Take them off their machines, whatever their states, and delete them."""
    for each in volume_ids:
        if volume(ec2, each)["Attachments"]:
            ec2.detach_volume(VolumeId=each)
    until(lambda: all(volume(ec2, each)["State"] == "available" for each in volume_ids))
    for each in volume_ids:
        ec2.delete_volume(VolumeId=each)


def disks(lab: LabDescription, instance_id: str) -> dict[str, int]:
    """The sizes in bytes of the disks that the guest sees, by serial number; those without one are left out."""
    lines = printed(lab, instance_id, "lsblk", "-dbno", "SERIAL,SIZE").splitlines()
    return {serial: int(size) for serial, size in (line.split() for line in lines if len(line.split()) == 2)}


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
