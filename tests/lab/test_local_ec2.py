"""The local EC2 with its machines: what the API says is what the guest sees."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.lab.machines import (
    BOOT,
    answers,
    attached,
    delete_volumes,
    describe,
    disks,
    kill,
    launch,
    printed,
    state,
    until,
    volume,
)

from ec2zfs.lab.client import LabClient
from ec2zfs.lab.daemon import Options
from ec2zfs.lab.description import LabDescription
from ec2zfs.lab.laboratory import daemon_pid, described, down, up
from ec2zfs.lab.machines.process import processes_of

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

GIB = 1024**3
METADATA = """\
import json, sys, urllib.error, urllib.request as r
base = "http://169.254.169.254/latest"
def ask(path, method="GET", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        return r.urlopen(r.Request(f"{base}/{path}", method=method, headers=named)).read().decode()
    except urllib.error.HTTPError as error:
        return error.code
token = ask("api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds="60")
print(json.dumps([ask("meta-data/instance-id"), ask(sys.argv[1], X_aws_ec2_metadata_token=token)]))
"""


def metadata(lab: LabDescription, instance: str, path: str) -> list[object]:
    """What the guest is answered without a token, and at the path with one."""
    answered: list[object] = json.loads(printed(lab, instance, "python3", "-c", METADATA, path))
    return answered


@pytest.fixture(scope="module")
def instance(lab: LabDescription, ec2: EC2Client) -> Iterator[str]:
    instance_id = launch(lab, ec2)
    yield instance_id
    ec2.terminate_instances(InstanceIds=[instance_id])


@contextmanager
def attached_volumes(lab: LabDescription, ec2: EC2Client, instance: str, devices: Sequence[str]) -> Iterator[list[str]]:
    """New volumes that the instance has; deleted at the end."""
    made = [ec2.create_volume(AvailabilityZone=lab.zone, Size=1, VolumeType="gp3")["VolumeId"] for _ in devices]
    try:
        until(lambda: all(volume(ec2, each)["State"] == "available" for each in made))
        for each, device in zip(made, devices, strict=True):
            ec2.attach_volume(VolumeId=each, InstanceId=instance, Device=device)
        until(lambda: all(attached(ec2, each) for each in made))
        yield made
    finally:
        delete_volumes(ec2, made)


@pytest.fixture(scope="module")
def volumes(lab: LabDescription, ec2: EC2Client, instance: str) -> Iterator[list[str]]:
    """Four volumes that the instance has, and keeps as they are."""
    with attached_volumes(lab, ec2, instance, [f"/dev/sd{letter}" for letter in "fghi"]) as made:
        yield made


@pytest.fixture
def spare(lab: LabDescription, ec2: EC2Client, instance: str) -> Iterator[str]:
    """One more volume that the instance has, for a test to change."""
    with attached_volumes(lab, ec2, instance, ["/dev/sdp"]) as made:
        yield made[0]


def test_the_site_has_its_pools(lab: LabDescription) -> None:
    assert printed(lab, "site", "zpool", "list", "-Ho", "name,health").split() == [
        "staging",
        "ONLINE",
        "tank",
        "ONLINE",
    ]


def test_volumes_are_disks_with_their_ids_as_serials(lab: LabDescription, instance: str, volumes: list[str]) -> None:
    assert disks(lab, instance) == {each.replace("-", ""): GIB for each in volumes}


def test_no_machine_draws_the_guids_of_another(lab: LabDescription, instance: str) -> None:
    """All start from one memory, in which ZFS has a random generator of its own."""
    pool = "truncate -s 256M /root/file && zpool create drawn /root/file && zpool get -Hpo value guid drawn"
    drawn = printed(lab, instance, "sudo", "sh", "-c", f"{pool}; zpool destroy drawn; rm /root/file").strip()
    assert drawn.isdecimal()
    assert drawn not in printed(lab, "site", "zpool", "get", "-Hpo", "value", "guid").split()


def test_a_volume_grows_under_the_guest(lab: LabDescription, ec2: EC2Client, instance: str, spare: str) -> None:
    ec2.modify_volume(VolumeId=spare, Size=2)
    until(lambda: volume(ec2, spare)["Size"] == 2)
    until(lambda: disks(lab, instance)[spare.replace("-", "")] == 2 * GIB)


def test_a_detached_volume_is_gone(lab: LabDescription, ec2: EC2Client, instance: str, spare: str) -> None:
    assert spare.replace("-", "") in disks(lab, instance)
    ec2.detach_volume(VolumeId=spare)
    until(lambda: volume(ec2, spare)["State"] == "available")
    assert spare.replace("-", "") not in disks(lab, instance)


def test_the_guest_asks_its_metadata(lab: LabDescription, instance: str) -> None:
    assert metadata(lab, instance, "meta-data/instance-id") == [401, instance]
    assert metadata(lab, instance, "meta-data/spot/instance-action") == [401, 404]


def test_a_network_drops_and_comes_back(lab: LabDescription, client: LabClient, instance: str) -> None:
    client.strike("drop-network", instance)
    assert not answers(lab, instance)
    client.strike("restore-network", instance)
    until(lambda: answers(lab, instance))


def test_a_guest_that_powers_off_is_stopped_and_starts_again_with_its_data(
    lab: LabDescription, ec2: EC2Client, instance: str, volumes: list[str]
) -> None:
    address = describe(ec2, instance)["PublicIpAddress"]
    mark = f"d=$(lsblk -dnro PATH,SERIAL | awk '$2 == \"{volumes[1].replace('-', '')}\" {{ print $1 }}')"
    end = "systemd-run --quiet --on-active=1 --timer-property=AccuracySec=100ms systemctl poweroff"
    printed(lab, instance, "sudo", "sh", "-c", f"{mark}; echo kept | dd of=$d conv=fsync status=none; {end}")
    until(lambda: state(ec2, instance) == "stopped", BOOT)
    ec2.start_instances(InstanceIds=[instance])
    until(lambda: state(ec2, instance) == "running")
    assert describe(ec2, instance)["PublicIpAddress"] != address
    until(lambda: answers(lab, instance), BOOT)
    assert printed(lab, instance, "sudo", "sh", "-c", f"{mark}; head -c 4 $d") == "kept"


def test_a_machine_that_dies_is_stopped(client: LabClient, ec2: EC2Client, instance: str) -> None:
    client.strike("kill-machine", instance)
    until(lambda: state(ec2, instance) == "stopped")
    assert describe(ec2, instance)["StateReason"]["Code"] == "Server.InternalError"


def test_a_spot_instance_is_told_and_taken(lab: LabDescription, client: LabClient, ec2: EC2Client) -> None:
    spot = launch(lab, ec2, spot=True)
    client.strike("interrupt-spot", spot, 45.0)
    _, told = metadata(lab, spot, "meta-data/spot/instance-action")
    assert json.loads(str(told))["action"] == "terminate"
    assert state(ec2, spot) == "running"
    until(lambda: state(ec2, spot) == "terminated", 90)


def test_nothing_listens_but_on_loopback(lab: LabDescription, instance: str) -> None:
    """Sockets that listen on another address than 127.0.0.0/8, of all processes of the lab."""
    inodes = set()
    for pid in processes_of(Path(lab.directory)):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            target = link.readlink().name if link.is_symlink() else ""
            inodes.add(target.removeprefix("socket:[").rstrip("]"))
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ours = [entry[1] for entry in listening if entry[3] == "0A" and entry[9] in inodes]
    assert ours
    assert all(address.split(":")[0].endswith("7F") for address in ours)


@pytest.mark.parametrize("killed", [False, True], ids=["in good order", "after SIGKILL of the daemon"])
def test_down_leaves_nothing(empty_directory: Path, killed: bool) -> None:
    options = Options(site=False, owner_pid=os.getpid())
    lab = up(empty_directory, options, print)
    assert up(empty_directory, options, print) == lab
    import boto3

    ec2 = boto3.client(
        "ec2", endpoint_url=lab.endpoint, region_name=lab.region, aws_access_key_id="x" * 20, aws_secret_access_key="x"
    )
    new = ec2.run_instances(ImageId=lab.image_id, InstanceType="m7a.medium", MinCount=1, MaxCount=1)
    until(lambda: state(ec2, new["Instances"][0]["InstanceId"]) == "running")
    assert len(processes_of(empty_directory)) >= 2
    if killed:
        kill(daemon_pid(empty_directory) or 0)
        until(lambda: described(empty_directory) is None)
        assert processes_of(empty_directory)
    began = time.monotonic()
    down(empty_directory)
    assert time.monotonic() - began < 60
    assert not empty_directory.exists()
    assert processes_of(empty_directory) == []
