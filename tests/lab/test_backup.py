"""The daily run for real: the controller is killed, interrupted, the receiver dies, and the next run carries on.

One pool for all tests, and one story for all breaks, since every machine start takes a minute under emulation. What the
making of the pool and the daily run need at AWS is held to the policy of the documentation.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
from tests.lab.machines import printed, ssh, state, until

from ec2zfs.errors import ExitCode
from ec2zfs.lab.client import LabClient
from ec2zfs.lab.configuration import configuration
from ec2zfs.lab.demo.machines import SITE, Machines
from ec2zfs.lab.description import LabDescription

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

POOL = "nightly"
SOURCE = "tank/nightly"
MISTYPED = "tank/nigthly"
VOLUMES = 2
FIRST_MIB = 120
POLICY = Path(__file__).parents[2] / "docs" / "iam-policy.json"
FOR_THE_POOL = {"ec2:CreateSecurityGroup", "ec2:CreateVolume", "ec2:ImportKeyPair", "ec2:RunInstances"}


class Operator:
    """Types `ec2zfs` commands, and sees what EC2 has of the pool."""

    pool = POOL

    def __init__(self, settings: Path, lab: LabDescription, ec2: EC2Client) -> None:
        self.settings = settings
        self.lab = lab
        self.ec2 = ec2
        self.log = settings.with_suffix(".log")
        self.started: list[subprocess.Popen[str]] = []

    def starts(self, *words: str) -> subprocess.Popen[str]:
        argv = command_line(self.settings, *words)
        with self.log.open("w") as log:
            run = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, text=True)
        self.started.append(run)
        return run

    def ends_all(self) -> None:
        for run in self.started:
            run.kill()
            run.wait()

    def types(self, *words: str) -> str:
        status = self.starts(*words).wait()
        said = self.log.read_text()
        assert status == ExitCode.OK, said
        return said

    def starts_backup(self, instance: str) -> subprocess.Popen[str]:
        """A backup in the middle of a stream, of which the receiver has taken in 4 MiB at least."""
        run = self.starts("backup")
        until(lambda: "replicate: " in self.log.read_text() or run.poll() is not None, 600)
        before = self.received(instance)
        until(lambda: self.received(instance) > before + 4 * 2**20 or run.poll() is not None, 300)
        assert run.poll() is None, self.log.read_text()
        return run

    def received(self, instance: str) -> int:
        listed = ssh(self.lab, instance, "sudo", "zfs", "list", "-Hpo", "used", f"{POOL}/{SOURCE}")
        return int(listed.stdout) if listed.returncode == 0 else 0

    def instances(self) -> dict[str, str]:
        ours = [{"Name": "tag:ec2zfs:pool", "Values": [self.pool]}]
        found = self.ec2.describe_instances(Filters=ours)["Reservations"]  # type: ignore[arg-type]
        return {str(one["InstanceId"]): str(one["State"]["Name"]) for group in found for one in group["Instances"]}

    def volumes(self) -> int:
        ours = [{"Name": "tag:ec2zfs:pool", "Values": [self.pool]}, {"Name": "tag:ec2zfs:role", "Values": ["volume"]}]
        return len(self.ec2.describe_volumes(Filters=ours)["Volumes"])  # type: ignore[arg-type]


def command_line(settings: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "ec2zfs", "--config", str(settings), *words]


@pytest.fixture(scope="module")
def operator(lab: LabDescription, ec2: EC2Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """Has a configuration: a pool of one mirror, one source, a receiver that is kept. What was made is gone after."""
    directory = tmp_path_factory.mktemp("backup")
    text = configuration(lab).replace('name = "cloud"', f'name = "{POOL}"').replace('"raidz1"', '"mirror"')
    text = text.replace("vdevs = 2", "vdevs = 1").replace("volumes_per_vdev = 3", f"volumes_per_vdev = {VOLUMES}")
    text = text.replace(f'state = "{lab.directory}/state"', f'state = "{directory}/state"')
    text = text.replace('"tank/home"', f'"{SOURCE}"').replace('\n[[source]]\ndataset = "tank/projects"\n', "")
    path = directory / "ec2zfs.toml"
    path.write_text(text)
    with patch.dict(os.environ, lab.environment()):
        operator = Operator(path, lab, ec2)
        printed(lab, SITE, "zfs", "create", SOURCE)
        yield operator
        operator.ends_all()
        operator.types("instance", "stop")
        operator.types("volumes", "detach")
        operator.types("volumes", "delete", "--confirm", POOL)
        printed(lab, SITE, "zfs", "destroy", "-r", SOURCE)


@dataclass(frozen=True)
class Made:
    """The pool's receiver, and the actions that EC2 was asked for until the pool stood."""

    instance: str
    asked: set[str]


@pytest.fixture(scope="module")
def made(operator: Operator, client: LabClient) -> Made:
    client.reset_calls()
    operator.types("pool", "create")
    (instance,) = operator.instances()
    return Made(instance, asked(client))


def asked(client: LabClient) -> set[str]:
    """The actions of all calls since the last reset, as a policy names them."""
    return {f"{call['service']}:{call['action']}" for call in client.calls()}


def allowed() -> list[set[str]]:
    """The actions that each statement of the policy allows."""
    actions = [statement["Action"] for statement in json.loads(POLICY.read_text())["Statement"]]
    return [{each} if isinstance(each, str) else set(each) for each in actions]


@contextmanager
def slow_line(lab: LabDescription) -> Iterator[None]:
    """On however fast a machine, the stream of FIRST_MIB flows for minutes."""
    printed(lab, SITE, "tc", "qdisc", "add", "dev", "eth0", "root", "netem", "rate", "8mbit")
    try:
        yield
    finally:
        printed(lab, SITE, "tc", "qdisc", "del", "dev", "eth0", "root")


def writes(lab: LabDescription, name: str, mib: int) -> None:
    printed(lab, SITE, "dd", "if=/dev/urandom", f"of=/{SOURCE}/{name}", "bs=1M", f"count={mib}", "status=none")


def test_the_policy_allows_what_makes_the_pool_and_its_last_statement_is_needed(made: Made) -> None:
    assert made.asked >= FOR_THE_POOL
    assert made.asked - set().union(*allowed()) == set()
    assert made.asked - set().union(*allowed()[:-1]) != set()


def test_a_source_that_does_not_exist_is_told_before_anything_is_done(
    operator: Operator, made: Made, client: LabClient, lab: LabDescription
) -> None:
    settings = operator.settings.with_name("mistyped.toml")
    text = operator.settings.read_text().replace('/state"', '/mistyped"')
    settings.write_text(f'{text}\n[[source]]\ndataset = "{MISTYPED}"\n')
    client.reset_calls()
    run = subprocess.run(command_line(settings, "backup"), capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == ExitCode.CONFIGURATION
    told = f"ec2zfs: On site there is no dataset {MISTYPED} to back up. Did you mean {SOURCE}"
    assert [line.startswith(told) for line in run.stderr.splitlines()] == [True]
    assert printed(lab, SITE, "zfs", "list", "-Hrt", "snapshot", "-o", "name", SOURCE) == ""
    assert asked(client) & {"ec2:RunInstances", "ec2:StartInstances"} == set()
    assert operator.instances() == {made.instance: "stopped"}


def test_a_run_that_breaks_off_in_the_middle_of_a_stream_is_carried_on(
    operator: Operator, made: Made, client: LabClient, lab: LabDescription, ec2: EC2Client
) -> None:
    writes(lab, "first", FIRST_MIB)
    client.reset_calls()
    with slow_line(lab):
        the_controller_is_killed(operator, made.instance)
        the_operator_interrupts(operator, made.instance)
        the_receiver_dies(operator, made.instance, client)
        until(lambda: state(ec2, made.instance) == "stopped", 60)
    two_good_days(operator, made.instance, lab)
    daily = asked(client)
    assert "ec2:StartInstances" in daily
    assert daily - set().union(*allowed()[:-1]) == set()
    the_copy_is_the_source(operator, made.instance, lab)


def the_controller_is_killed(operator: Operator, instance: str) -> None:
    """Nothing is cleaned up, and the next run begins where the stream was cut."""
    killed = operator.starts_backup(instance)
    killed.kill()
    killed.wait()
    assert operator.instances() == {instance: "running"}


def the_operator_interrupts(operator: Operator, instance: str) -> None:
    """By Ctrl-C: in good order. A second run at the same time is refused."""
    interrupted = operator.starts_backup(instance)
    assert f"send the rest of {SOURCE}@" in operator.log.read_text()
    second = subprocess.run(interrupted.args, capture_output=True, text=True, check=False, timeout=120)
    assert (second.returncode, f"Another run of pool {POOL}" in second.stderr) == (ExitCode.LOCKED, True)
    interrupted.send_signal(signal.SIGINT)
    assert interrupted.wait(300) == ExitCode.INTERRUPTED
    assert "lock the pool: done" in operator.log.read_text()
    assert operator.instances() == {instance: "stopped"}


def the_receiver_dies(operator: Operator, instance: str, client: LabClient) -> None:
    """The run says so."""
    dying = operator.starts_backup(instance)
    client.strike("kill-machine", instance)
    assert dying.wait(300) == ExitCode.HOST, operator.log.read_text()
    assert f"receiver {instance}" in operator.log.read_text().splitlines()[-1]


def two_good_days(operator: Operator, instance: str, lab: LabDescription) -> None:
    """A day like any other, and one more with little to send."""
    operator.types("backup")
    writes(lab, "second", 2)
    operator.types("backup", "--now")
    assert operator.instances() == {instance: "stopped"}
    assert operator.volumes() == VOLUMES
    reports = [json.loads(path.read_text()) for path in sorted((operator.settings.parent / "state/reports").iterdir())]
    assert [report["clean"] for report in reports] == [False, False, True, True]
    assert reports[-1]["bytes_sent"] < 4 * 2**20


def the_copy_is_the_source(operator: Operator, instance: str, lab: LabDescription) -> None:
    operator.types("instance", "start")
    operator.types("pool", "unlock")
    machines = Machines(lab)
    newest = printed(lab, SITE, "zfs", "list", "-Ht", "snapshot", "-o", "name", "-s", "createtxg", SOURCE).split()[-1]
    machines.run(instance, "mount", "-t", "zfs", "-o", "ro", f"{POOL}/{newest}", "/mnt")
    here = machines.manifest(SITE, f"/{SOURCE}/.zfs/snapshot/{newest.partition('@')[2]}")
    there = machines.manifest(instance, "/mnt")
    machines.run(instance, "umount", "/mnt")
    operator.types("pool", "lock")
    assert len(here) == 3
    assert there == here


def test_a_copy_with_a_snapshot_of_its_own_is_rolled_back_once_that_is_confirmed(
    operator: Operator, made: Made, lab: LabDescription
) -> None:
    machines, copy = Machines(lab), f"{POOL}/{SOURCE}"
    operator.types("pool", "unlock")
    before = snapshots(machines, made.instance, copy)
    machines.run(made.instance, "zfs", "snapshot", f"{copy}@stray")
    with_stray = snapshots(machines, made.instance, copy)
    assert len(with_stray) == len(before) + 1
    assert "destroy 1 of its snapshots" in operator.types("repair", SOURCE, "--dry-run")
    assert snapshots(machines, made.instance, copy) == with_stray
    assert "repair complete" in operator.types("repair", SOURCE, "--confirm", SOURCE).lower()
    assert snapshots(machines, made.instance, copy) == before
    operator.types("pool", "lock")
    writes(lab, "after the repair", 1)
    operator.types("backup", "--now")


def snapshots(machines: Machines, instance: str, dataset: str) -> list[str]:
    return machines.run(instance, "zfs", "list", "-Ht", "snapshot", "-o", "name", "-d", "1", dataset).split()
