"""The cloud pool on a real machine: real volumes, LUKS and ZFS, a controller that is killed, a receiver that dies."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
from tests.lab.machines import until

from ec2zfs.cli.output import Words
from ec2zfs.cli.session import Session
from ec2zfs.cloud.tags import ROLE_VOLUME, of_pool
from ec2zfs.config import load
from ec2zfs.errors import Refused, WrongPoolKey
from ec2zfs.execute.pool import CloudPool
from ec2zfs.execute.progress import Silent
from ec2zfs.hosts.host import Command, Host, Result
from ec2zfs.hosts.secret import Secret
from ec2zfs.lab.client import LabClient
from ec2zfs.lab.configuration import configuration
from ec2zfs.lab.description import LabDescription
from ec2zfs.lab.faults import Fault, FaultKind
from ec2zfs.model.layout import Layout, Redundancy
from ec2zfs.model.pool import DeviceState, PoolDesign
from ec2zfs.model.volume import Volume

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

POOL = "heart"
WRONG = Secret(b"a key that opens some other pool, not this")


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


def killed(settings: Path, moment: Callable[[str], bool]) -> None:
    """Run `pool create` until a line of its output is the moment, and SIGKILL it."""
    with subprocess.Popen(command_line(settings, "pool", "create"), stdout=subprocess.PIPE, text=True) as controller:
        assert controller.stdout
        try:
            any(moment(line) for line in controller.stdout)
        finally:
            controller.kill()
    assert controller.returncode == -9


def volumes_of(ec2: EC2Client) -> list[str]:
    return [volume["VolumeId"] for volume in ec2.describe_volumes(Filters=of_pool(POOL, ROLE_VOLUME))["Volumes"]]


@pytest.fixture(scope="module")
def parts(settings: Path) -> Iterator[Session]:
    with ExitStack() as connections:
        yield Session(load(settings), Words(Silent()), connections)


@pytest.fixture(scope="module")
def made(settings: Path, ec2: EC2Client, client: LabClient, parts: Session) -> list[Volume]:
    """The pool, made by controllers that were killed again and again, on a receiver that died once."""

    def some_exist(line: str) -> bool:
        return line.startswith("Creating volumes") and bool(until(lambda: volumes_of(ec2)))

    def some_are_formatted(line: str) -> bool:
        if not line.startswith(f"open {POOL}-v2s3-g1"):
            return False
        time.sleep(6)
        return True

    def receiver_dies_too(line: str) -> bool:
        if some_are_formatted(line):
            client.strike("kill-machine", parts.running_receiver().id)
            return True
        return False

    def the_pool_is_being_made(line: str) -> bool:
        if not line.startswith(f"create pool {POOL}"):
            return False
        time.sleep(1.5)
        return True

    client.add(Fault(FaultKind.DELAY, "CreateVolume", seconds=1.0, times=None))
    killed(settings, some_exist)
    client.clear_faults()
    assert volumes_of(ec2)
    killed(settings, receiver_dies_too)
    assert len(volumes_of(ec2)) == 6
    killed(settings, some_are_formatted)
    killed(settings, the_pool_is_being_made)
    subprocess.run(command_line(settings, "pool", "create"), check=True)
    subprocess.run(command_line(settings, "instance", "start"), check=True)
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


def test_foreign_data_is_not_formatted(made: list[Volume], parts: Session, receiver: Counting) -> None:
    """A blank volume of another pool's, on which somebody put a file system."""
    other = PoolDesign("other", Layout(Redundancy.MIRROR, 1, 2, 1))
    with pytest.raises(Refused, match=r"did not put there stands on v1s1 .*, v1s2 "):
        CloudPool(receiver, other).create(parts.pool_key(), [made[0], made[1]])
    assert mappings(receiver) == []


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
    with pytest.raises(Refused, match="none is attached for v1s2"):
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
