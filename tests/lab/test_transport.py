"""A backup whose stream goes directly: its line is cut twice, then the controller is killed, and the next carries on.

Meanwhile all processes on the controller, the site and the receiver are watched for the transfers' secrets.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from unittest.mock import patch

import pytest
from tests.contract.processes import argv, mentioning
from tests.lab.machines import printed, until
from tests.lab.test_backup import Operator

from ec2zfs.lab.configuration import configuration
from ec2zfs.lab.demo.machines import SITE, Machines
from ec2zfs.lab.demo.search import finds
from ec2zfs.lab.demo.watches import CONTROLLER, Record, Watches, watcher_argv
from ec2zfs.lab.description import LabDescription
from ec2zfs.transport.bundle import BOOTSTRAP
from ec2zfs.transport.far.keys import TransferKeys

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

POOL = "streams"
SOURCE = "tank/streams"
MIB = 1 << 20
FIRST_MIB = 40
CUTS, CUT_AFTER, PACE = 2, 6 * MIB, MIB // 8
"""After the last cut the rest of FIRST_MIB would take minutes: so there is time to look, on however slow a machine."""
PROGRAM = BOOTSTRAP.partition(";")[0]
"""In the words of every end of a stream."""
RECEIVE = b"zfs\0receive\0"


class Told:
    """What a run behind a line tells (tests/lab/line.py)."""

    def __init__(self) -> None:
        self.secrets: list[bytes] = []
        self.cuts = 0

    def hear(self, lines: BinaryIO) -> None:
        with lines:
            for line in lines:
                what, _, value = line.decode().strip().partition(" ")
                if what == "secret":
                    self.secrets.append(bytes.fromhex(value))
                else:
                    self.cuts += 1


class BehindALine(Operator):
    """An operator whose runs reach the receiver through a line that is cut."""

    pool = POOL
    told = Told()
    cuts = CUTS

    def starts(self, *words: str) -> subprocess.Popen[str]:
        reading, writing = os.pipe()
        threading.Thread(target=self.told.hear, args=(os.fdopen(reading, "rb"),), daemon=True).start()
        line = [str(writing), str(self.cuts), str(CUT_AFTER), str(PACE), "--config", str(self.settings), *words]
        command = [sys.executable, "-m", "tests.lab.line", *line]
        with self.log.open("w") as log:
            run = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, text=True, pass_fds=[writing]
            )
        os.close(writing)
        self.started.append(run)
        return run

    def received(self, instance: str) -> int:
        listed = Machines(self.lab).run(instance, "sh", "-c", f"zfs list -Hpo used {POOL}/{SOURCE} || echo 0")
        return int(listed.split()[-1])

    def rules(self) -> list[int]:
        """The first ports of what the pool's group lets in."""
        ours = [{"Name": "tag:ec2zfs:pool", "Values": [POOL]}]
        (group,) = self.ec2.describe_security_groups(Filters=ours)["SecurityGroups"]  # type: ignore[arg-type]
        return sorted(rule["FromPort"] for rule in group["IpPermissions"])


@pytest.fixture
def operator(lab: LabDescription, ec2: EC2Client, tmp_path: Path) -> Iterator[BehindALine]:
    """Has a configuration: a pool of one mirror, one source, a receiver that is kept. What was made is gone after."""
    text = configuration(lab).replace('name = "cloud"', f'name = "{POOL}"').replace('"raidz1"', '"mirror"')
    text = text.replace("vdevs = 2", "vdevs = 1").replace("volumes_per_vdev = 3", "volumes_per_vdev = 2")
    text = text.replace(f'state = "{lab.directory}/state"', f'state = "{tmp_path}/state"')
    text = text.replace('"tank/home"', f'"{SOURCE}"').replace('\n[[source]]\ndataset = "tank/projects"\n', "")
    text = text.replace("[transport]", '[transport]\nmode = "direct"')
    path = tmp_path / "ec2zfs.toml"
    path.write_text(text)
    with patch.dict(os.environ, {**lab.environment(), "PYTHONPATH": os.pathsep.join(sys.path)}):
        operator = BehindALine(path, lab, ec2)
        printed(lab, SITE, "zfs", "create", SOURCE)
        yield operator
        operator.ends_all()
        operator.types("instance", "stop")
        operator.types("volumes", "detach")
        operator.types("volumes", "delete", "--confirm", POOL)
        printed(lab, SITE, "zfs", "destroy", "-r", SOURCE)


def test_a_stream_that_goes_directly_is_cut_and_killed_and_carried_on(
    operator: BehindALine, lab: LabDescription, tmp_path: Path
) -> None:
    machines, told = Machines(lab), operator.told
    printed(lab, SITE, "dd", "if=/dev/urandom", f"of=/{SOURCE}/first", "bs=1M", f"count={FIRST_MIB}", "status=none")
    operator.types("pool", "create")
    (instance,) = operator.instances()
    watches = Watches(tmp_path, partial(watcher_argv, lab), machines.running)
    watches.begin()
    try:
        the_line_is_cut_and_the_controller_killed(operator, instance, machines)
        operator.cuts = 0
        said = operator.types("backup")
    finally:
        watches.end()
    assert f"The stream goes directly to receiver {instance}" in said
    assert operator.rules() == []
    assert operator.instances() == {instance: "stopped"}
    assert len(told.secrets) >= 2, "one of the stream that was killed, one of what went on"
    the_secrets_are_nowhere(told.secrets, tmp_path, Path(lab.directory), instance)
    the_copy_is_the_source(operator, machines, instance)


def the_line_is_cut_and_the_controller_killed(operator: BehindALine, instance: str, machines: Machines) -> None:
    """The cuts alone are not even told as a setback; after the killing no end is left, here or there."""
    run = operator.starts_backup(instance)
    until(lambda: operator.told.cuts == CUTS or run.poll() is not None, 300)
    before = operator.received(instance)
    until(lambda: operator.received(instance) > before or run.poll() is not None, 300)
    said = operator.log.read_text()
    assert run.poll() is None, said
    assert "Trying again" not in said
    assert operator.rules() == sorted((28300, operator.lab.receiver_port))
    assert ends_here(operator.lab), "the search for them finds them while they run"
    run.kill()
    run.wait()
    until(lambda: not ends_here(operator.lab), 30)
    until(lambda: PROGRAM not in machines.run(instance, "ps", "-eo", "args"), 60)
    assert "zfs receive" not in machines.run(instance, "ps", "-eo", "args")


def ends_here(lab: LabDescription) -> list[int]:
    """The ends of streams that run on the controller and came of this lab's environment."""
    return [pid for pid in mentioning(lab.endpoint.encode()) if PROGRAM in " ".join(argv(pid))]


def the_secrets_are_nowhere(secrets: list[bytes], records: Path, lab: Path, instance: str) -> None:
    """Neither in words and environments of processes, nor in any file of the controller's or of a machine's disk."""
    controller, receiver = Record(records, CONTROLLER).processes, Record(records, instance).processes
    for path, known in ((controller, PROGRAM.encode()), (receiver, PROGRAM.encode()), (receiver, RECEIVE)):
        assert finds([path], {"known": known}), f"the search finds no {known!r} in {path}, so it proves nothing"
    forms = [form for secret in secrets for key in (secret, TransferKeys(secret).data) for form in (key, key.hex())]
    needles = {f"secret {n}": form if isinstance(form, bytes) else form.encode() for n, form in enumerate(forms)}
    files = sorted(path for folder in (records, lab) for path in folder.rglob("*") if path.is_file())
    assert finds(files, needles) == []


def the_copy_is_the_source(operator: BehindALine, machines: Machines, instance: str) -> None:
    """Every snapshot, by its name and GUID."""
    operator.types("instance", "start")
    operator.types("pool", "unlock")
    listing = ("zfs", "get", "-Hrpt", "snapshot", "-o", "name,value", "guid")
    here = machines.run(SITE, *listing, SOURCE).splitlines()
    there = machines.run(instance, *listing, f"{POOL}/{SOURCE}").splitlines()
    operator.types("pool", "lock")
    assert here
    assert there == [f"{POOL}/{line}" for line in here]
