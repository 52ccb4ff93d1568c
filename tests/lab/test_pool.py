"""The cloud pool on a real machine: real volumes, LUKS and ZFS, a controller that is killed, a receiver that dies."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
from tests.lab.machines import BOOT, backing, during, printed, ssh, until

from ec2zfs.cli.output import Words
from ec2zfs.cli.session import Session
from ec2zfs.cloud.tags import ROLE_RECEIVER, ROLE_VOLUME, filtered, of_pool
from ec2zfs.cloud.volumes import Volumes
from ec2zfs.config import load
from ec2zfs.errors import Refused, WrongPoolKey
from ec2zfs.execute.pool import CloudPool
from ec2zfs.execute.progress import Silent
from ec2zfs.execute.volumes import VolumeFleet
from ec2zfs.hosts.host import Command, Host, Result
from ec2zfs.hosts.secret import Secret
from ec2zfs.lab.client import LabClient
from ec2zfs.lab.configuration import configuration
from ec2zfs.lab.description import LabDescription
from ec2zfs.lab.faults import Fault, FaultKind
from ec2zfs.lab.login import login_argv
from ec2zfs.model.layout import Layout, Redundancy
from ec2zfs.model.pool import DeviceState, PoolDesign
from ec2zfs.model.volume import Volume
from ec2zfs.plan.volumes import AttachVolume, CreateVolume, plan_deletion, plan_detachment

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

POOL = "heart"
VOLUMES = 6
OTHER = PoolDesign("other", Layout(Redundancy.MIRROR, 1, 2, 1))
WRONG = Secret(b"a key that opens some other pool, not this")
LUKS = b"LUKS\xba\xbe"
MAKING = "^zpool create"
HELD = f"pgrep --runstates T -f '{MAKING}'"
HOLD = f"timeout {BOOT:g} sh -c \"until {HELD}; do pkill -STOP -f '{MAKING}'; sleep 0.05; done\""
"""Lets `zpool create` stand still as soon as it is seen; in the middle of a call of the kernel, after that."""


class Counting:
    """A host that counts its executions."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.commands: list[Command] = []

    @property
    def name(self) -> str:
        return self._host.name

    def run(self, command: Command) -> Result:
        self.commands.append(command)
        return self._host.run(command)

    def exec_argv(self, command: Command) -> Sequence[str]:
        return self._host.exec_argv(command)

    def end(self, argv: Sequence[str]) -> None:
        self._host.end(argv)

    def explain(self, command: Command, status: int, stderr: bytes) -> Exception:
        return self._host.explain(command, status, stderr)


@pytest.fixture(scope="module")
def settings(lab: LabDescription, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A configuration of our own in the lab: 2 x raidz1 of 3 x 1 GiB. What we made is gone after the tests."""
    directory = tmp_path_factory.mktemp("pool")
    text = configuration(lab).replace('name = "cloud"', f'name = "{POOL}"')
    path = directory / "ec2zfs.toml"
    path.write_text(text.replace(f'state = "{lab.directory}/state"', f'state = "{directory}/state"'))
    with patch.dict(os.environ, lab.environment()):
        yield path
        for verb in (("instance", "stop"), ("volumes", "detach"), ("volumes", "delete", "--confirm", POOL)):
            subprocess.run(command_line(path, *verb), check=True, stdin=subprocess.DEVNULL)


def command_line(settings: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "ec2zfs", "--config", str(settings), *words]


def killed(settings: Path, moment: Callable[[], object]) -> None:
    """Run `pool create` until the moment has come, and SIGKILL it."""
    with subprocess.Popen(command_line(settings, "pool", "create"), stdin=subprocess.DEVNULL) as controller:
        try:
            until(lambda: moment() or controller.poll() is not None, BOOT, pause=0.05)
        finally:
            controller.kill()
    assert controller.returncode == -9


def killed_while_the_pool_is_made(lab: LabDescription, settings: Path, instance: str) -> None:
    """As `killed`; `zpool create` is held from the moment in which it is seen until the controller is dead."""
    watch = subprocess.Popen(login_argv(lab, instance, ("sudo", "sh", "-c", HOLD)))
    try:
        killed(settings, lambda: watch.poll() == 0)
        assert len(printed(lab, instance, "sh", "-c", HELD).split()) == 1
    finally:
        watch.kill()
        watch.wait()
        ssh(lab, instance, "sudo", "pkill", "-CONT", "-f", MAKING)


def volumes_of(ec2: EC2Client) -> list[str]:
    return [volume["VolumeId"] for volume in ec2.describe_volumes(Filters=of_pool(POOL, ROLE_VOLUME))["Volumes"]]


def receiver_of(ec2: EC2Client) -> str:
    """The instance that is up."""
    ours = [*of_pool(POOL, ROLE_RECEIVER), filtered("instance-state-name", "running")]
    (reservation,) = ec2.describe_instances(Filters=ours)["Reservations"]
    return reservation["Instances"][0]["InstanceId"]


def formatted(lab: LabDescription, ec2: EC2Client) -> int:
    """How many volumes begin with a LUKS header at this moment."""
    files = [backing(lab, each) for each in volumes_of(ec2)]
    return sum(_begins_with(LUKS, file) for file in files if file.exists())


def _begins_with(magic: bytes, path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def stored(lab: LabDescription, volumes: Sequence[Volume]) -> list[str]:
    """A digest of every byte that stands on each volume."""
    found = []
    for each in volumes:
        with backing(lab, each.id).open("rb") as volume:
            found.append(hashlib.file_digest(volume, "sha256").hexdigest())
    return found


@pytest.fixture(scope="module")
def parts(settings: Path) -> Iterator[Session]:
    with ExitStack() as connections:
        yield Session(load(settings), Words(Silent()), connections)


@pytest.fixture(scope="module")
def made(settings: Path, lab: LabDescription, ec2: EC2Client, client: LabClient, parts: Session) -> list[Volume]:
    """The pool, made by controllers that were killed again and again, on a receiver that died once.

    What a killed controller has begun goes on without it: calls that EC2 has got, the script on the receiver.
    """
    with during(client, Fault(FaultKind.DELAY, "CreateVolume", seconds=20.0, skip=2, times=None)):
        killed(settings, lambda: volumes_of(ec2))
        assert 0 < len(volumes_of(ec2)) < VOLUMES

    killed(settings, lambda: formatted(lab, ec2))
    client.strike("kill-machine", receiver_of(ec2))
    begun = formatted(lab, ec2)
    assert 0 < begun < VOLUMES
    assert len(volumes_of(ec2)) == VOLUMES

    killed(settings, lambda: formatted(lab, ec2) > begun)
    assert begun < formatted(lab, ec2) < VOLUMES
    killed_while_the_pool_is_made(lab, settings, receiver_of(ec2))
    subprocess.run(command_line(settings, "pool", "create"), check=True, stdin=subprocess.DEVNULL)
    return parts.fleet.volumes()


@pytest.fixture
def receiver(made: list[Volume], parts: Session) -> Counting:
    return Counting(parts.receiver.reach())


def mappings(host: Host) -> list[str]:
    listed = host.run(Command.of("dmsetup", "ls", "--target", "crypt")).lines()
    return sorted(line.split()[0] for line in listed if line.startswith(POOL))


def test_killed_again_and_again_there_is_one_pool_of_six_volumes(
    made: list[Volume], parts: Session, receiver: Counting
) -> None:
    pool = parts.cloud_pool(receiver)
    assert [str(volume.place) for volume in made] == ["v1s1", "v1s2", "v1s3", "v2s1", "v2s2", "v2s3"]
    assert {volume.generation for volume in made} == {1}
    assert (pool.found(), mappings(receiver)) == (None, [])
    pool.unlock(parts.pool_key(), made)
    status = pool.status()
    assert status.healthy
    assert [vdev.kind for vdev in status.vdevs] == ["raidz1", "raidz1"]
    assert [str(member.place) for member in status.members] == [str(volume.place) for volume in made]
    assert receiver.run(Command.of("zpool", "list", "-H", "-o", "name")).lines() == [POOL]
    pool.lock()


def test_unlock_and_lock_are_one_execution_each_and_may_be_repeated(
    made: list[Volume], parts: Session, receiver: Counting
) -> None:
    pool = parts.cloud_pool(receiver)
    for _ in range(2):
        receiver.commands.clear()
        pool.unlock(parts.pool_key(), made)
        assert len(receiver.commands) == 1
    for _ in range(2):
        receiver.commands.clear()
        pool.lock()
        assert len(receiver.commands) == 1
    assert mappings(receiver) == []


def test_a_wrong_key_opens_nothing(made: list[Volume], parts: Session, receiver: Counting) -> None:
    with pytest.raises(WrongPoolKey, match=f"does not open {POOL}-v1s1-g1 .*nothing was opened"):
        parts.cloud_pool(receiver).unlock(WRONG, made)
    assert mappings(receiver) == []
    assert receiver.run(Command.of("zpool", "list", "-H", "-o", "name")).lines() == []


def test_headers_of_another_pool_are_not_formatted(
    made: list[Volume], parts: Session, receiver: Counting, lab: LabDescription
) -> None:
    """Volumes that bear the tags of `other`, on which stand this pool's LUKS headers."""
    theirs = [replace(volume, pool=OTHER.name) for volume in made[:2]]
    before = stored(lab, theirs)
    with pytest.raises(Refused, match=rf"did not put there stands on {named(theirs)}; nothing was formatted"):
        CloudPool(receiver, OTHER).create(parts.pool_key(), theirs)
    assert stored(lab, theirs) == before
    assert mappings(receiver) == []


@pytest.fixture
def others(made: list[Volume], parts: Session, lab: LabDescription) -> Iterator[list[Volume]]:
    """Two new volumes of the pool `other`, on the receiver of this one; gone after the test."""
    fleet = VolumeFleet(Volumes(parts.ec2, OTHER.name))
    places, instance = list(OTHER.layout.places()), parts.running_receiver().id
    try:
        fleet.carry_out([CreateVolume(OTHER.name, place, 1, 1, "gp3", lab.zone) for place in places])
        devices = zip(places, ("/dev/xvdcy", "/dev/xvdcz"), strict=True)
        yield fleet.carry_out([AttachVolume(OTHER.name, place, 1, instance, device) for place, device in devices])
    finally:
        fleet.carry_out(plan_detachment(fleet.volumes()))
        fleet.carry_out(plan_deletion(fleet.volumes(), "the test has ended"))


def test_data_of_somebody_else_is_not_formatted(
    others: list[Volume], parts: Session, receiver: Counting, lab: LabDescription
) -> None:
    """A file system on one new volume; on the other bytes that no program knows, where our data would stand."""
    filesystem, unknown = (disk(receiver, volume) for volume in others)
    receiver.run(Command.of("mke2fs", "-q", "-t", "ext4", filesystem))
    receiver.run(Command.of("dd", "if=/dev/urandom", f"of={unknown}", "bs=1M", "seek=16", "count=1", "conv=fsync"))
    before = stored(lab, others)
    with pytest.raises(Refused, match=rf"did not put there stands on {named(others)}; nothing was formatted"):
        CloudPool(receiver, OTHER).create(parts.pool_key(), others)
    assert stored(lab, others) == before
    assert receiver.run(Command.of("blkid", "-o", "value", "-s", "TYPE", filesystem)).text.strip() == "ext4"


def named(volumes: Sequence[Volume]) -> str:
    """The volumes as a refusal names them, for a regular expression."""
    return ", ".join(rf"{volume.place} \({volume.id}\)" for volume in volumes)


def disk(host: Host, volume: Volume) -> str:
    """The volume's device on the host."""
    listed = host.run(Command.of("lsblk", "-dnro", "PATH,SERIAL")).lines()
    return next(path for path, *serial in map(str.split, listed) if serial == [volume.serial])


def test_a_pool_of_that_name_on_other_disks_stands_in_the_way(
    made: list[Volume], parts: Session, receiver: Counting
) -> None:
    strangers = f"truncate -s 100M /var/tmp/stranger && zpool create -o cachefile=none {POOL} /var/tmp/stranger"
    receiver.run(Command.of("sh", "-c", strangers))
    try:
        with pytest.raises(Refused, match=rf"A pool named {POOL} .* is imported .* not the volumes.*/var/tmp/stranger"):
            parts.cloud_pool(receiver).create(parts.pool_key(), made)
        parts.cloud_pool(receiver).lock()
        assert parts.cloud_pool(receiver).status().state is DeviceState.ONLINE
        assert mappings(receiver) == []
    finally:
        receiver.run(Command.of("zpool", "destroy", POOL))


def test_lock_finds_a_pool_half_open(made: list[Volume], parts: Session, receiver: Counting) -> None:
    pool = parts.cloud_pool(receiver)
    pool.unlock(parts.pool_key(), made)
    receiver.run(Command.of("zpool", "export", POOL))
    receiver.run(Command.of("cryptsetup", "close", made[0].mapping))
    assert mappings(receiver) == [volume.mapping for volume in made[1:]]
    pool.lock()
    assert mappings(receiver) == []


def test_a_volume_that_is_missing_is_refused_or_accepted(
    made: list[Volume], parts: Session, receiver: Counting, ec2: EC2Client
) -> None:
    pool = parts.cloud_pool(receiver)
    lost = made[1]
    ec2.detach_volume(VolumeId=lost.id)
    left = until(lambda: [each for each in parts.fleet.volumes() if each.attachment] if free(ec2, lost) else [])
    with pytest.raises(Refused, match="open with less redundancy, without v1s2; nothing was left open"):
        pool.unlock(parts.pool_key(), left)
    pool.unlock(parts.pool_key(), left, accept_degraded=True)
    status = pool.status()
    assert status.state is DeviceState.DEGRADED
    assert [str(each.place) for each in status.members if each.state is not DeviceState.ONLINE] == ["v1s2"]
    pool.lock()
    pool.unlock(parts.pool_key(), parts.attached_volumes())
    assert pool.status().state is DeviceState.ONLINE
    pool.lock()


def free(ec2: EC2Client, volume: Volume) -> bool:
    return ec2.describe_volumes(VolumeIds=[volume.id])["Volumes"][0]["State"] == "available"
