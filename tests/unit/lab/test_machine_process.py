"""A machine's process is recognised by its directory, never by its number alone; a QEMU is not needed for that."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ec2zfs.errors import Refused
from ec2zfs.lab.machines import process
from ec2zfs.lab.machines.machine import Disk, Machine, MachineSpec
from ec2zfs.lab.machines.qemu import Files
from ec2zfs.lab.machines.qmp import MachineError

Impostor = Callable[..., subprocess.Popen[bytes]]
SERIAL = "vol0123456789abcdef0"


@pytest.fixture
def impostor() -> Iterator[Impostor]:
    """Processes that sleep, with words in their command line as QEMU has them."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*words: str) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", *words]))
        until_executed(started[-1].pid)
        return started[-1]

    yield start
    for child in started:
        child.kill()
        child.wait()


def until_executed(pid: int) -> None:
    while b"sleep" not in Path(f"/proc/{pid}/cmdline").read_bytes():
        time.sleep(0.005)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(MachineSpec("i-0abc", 2048, "127.3.4.5", 2222, 9169, tmp_path / "m"), tmp_path / "cache")


@pytest.mark.parametrize("written", ["", "x", "999999999", "-1"])
def test_no_process(tmp_path: Path, written: str) -> None:
    files = Files(tmp_path)
    assert process.pid(files) is None
    files.pid.write_text(written)
    assert process.pid(files) is None


def test_the_process_of_this_directory_is_known_and_killed(tmp_path: Path, impostor: Impostor) -> None:
    files = Files(tmp_path)
    child = impostor("-pidfile", str(files.pid))
    files.pid.write_text(f"{child.pid}\n")
    assert process.pid(files) == child.pid
    process.kill(files)
    assert child.wait() == -9
    assert process.pid(files) is None


@pytest.mark.parametrize("words", [(), ("-pidfile", "/elsewhere/pid"), ("-name", "guest=i-0abc")])
def test_a_stranger_with_the_number_is_left_alone(tmp_path: Path, impostor: Impostor, words: tuple[str, ...]) -> None:
    files = Files(tmp_path)
    child = impostor(*words)
    files.pid.write_text(f"{child.pid}\n")
    process.kill(files)
    assert process.pid(files) is None
    assert child.poll() is None


def test_qemus_own_words_are_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="no such device"):
        process.launch(["sh", "-c", "echo no such device >&2; exit 1"], Files(tmp_path))


def test_disks_of_a_machine_that_is_off_wait_for_its_start(machine: Machine, tmp_path: Path) -> None:
    first, second = Disk(SERIAL, tmp_path / "a"), Disk(SERIAL.replace("0", "1"), tmp_path / "b")
    for disk in (first, second, first):
        machine.attach(disk)
    assert machine.disks() == (first, second)
    assert Machine.open(machine.spec.directory).disks() == (first, second)
    assert Machine.open(machine.spec.directory).spec == machine.spec
    machine.detach(first.serial)
    machine.detach(first.serial)
    assert machine.disks() == (second,)


def test_64_disks_and_no_more(machine: Machine, tmp_path: Path) -> None:
    for number in range(64):
        machine.attach(Disk(f"vol{number:017x}", tmp_path / "x"))
    with pytest.raises(Refused, match="no free port"):
        machine.attach(Disk("vol-one-too-many", tmp_path / "x"))


def test_a_serial_that_would_be_cut_is_refused(machine: Machine) -> None:
    with pytest.raises(Refused, match="at most 20"):
        machine.attach(Disk(f"{SERIAL}1", Path("/v")))


def test_a_disk_grows_and_does_not_shrink(machine: Machine, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(4096))
    machine.attach(Disk(SERIAL, path))
    machine.resize(SERIAL, 8192)
    assert path.stat().st_size == 8192
    with pytest.raises(Refused, match="shrink"):
        machine.resize(SERIAL, 4096)
    with pytest.raises(Refused, match="no disk"):
        machine.resize("vol-other", 4096)


def test_a_machine_that_does_not_run(machine: Machine) -> None:
    machine.attach(Disk(SERIAL, Path("/v")))
    assert not machine.running()
    assert machine.console() == ""
    machine.power_off()
    machine.kill()
    machine.discard()
    machine.discard()
    assert not machine.spec.directory.exists()


@pytest.mark.parametrize(
    ("fresh", "why"),
    [(True, "image is not built"), (False, "no root disk")],
)
def test_what_cannot_start_says_why(machine: Machine, fresh: bool, why: str) -> None:
    with pytest.raises(Refused, match=why):
        machine.start(fresh=fresh)
