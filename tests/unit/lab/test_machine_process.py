"""A machine's process is recognised by its directory, never by its number alone; a QEMU is not needed for that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.unit.lab.conftest import Impostor

from ec2zfs.errors import Refused
from ec2zfs.lab.machines import process
from ec2zfs.lab.machines.machine import Disk, Machine, MachineSpec
from ec2zfs.lab.machines.qemu import Files
from ec2zfs.lab.machines.qmp import MachineError

SERIAL = "vol0123456789abcdef0"


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
    assert child.wait(10) == -9
    assert process.pid(files) is None


def test_one_that_has_not_written_its_pid_file_yet_is_killed(tmp_path: Path, impostor: Impostor) -> None:
    files = Files(tmp_path)
    child = impostor("-pidfile", str(files.pid))
    process.kill(files)
    assert child.wait(10) == -9


@pytest.mark.parametrize("words", [(), ("-pidfile", "/elsewhere/pid"), ("-name", "guest=i-0abc"), ("-pidfile",)])
def test_a_stranger_with_the_number_is_left_alone(tmp_path: Path, impostor: Impostor, words: tuple[str, ...]) -> None:
    files = Files(tmp_path)
    child = impostor(*words)
    files.pid.write_text(f"{child.pid}\n")
    process.kill(files)
    assert process.pid(files) is None
    assert child.poll() is None


def test_the_machines_below_a_directory_are_killed(tmp_path: Path, impostor: Impostor) -> None:
    lab = tmp_path / "lab-1"
    ours = [impostor("-pidfile", str(lab / "machines" / name / "pid")) for name in ("i-1", "i-2")]
    others = [
        impostor("-pidfile", str(tmp_path / "lab-10" / "pid")),
        impostor("-kernel", str(lab / "vmlinuz")),
        impostor("-pidfile", str(lab / "pid"), name="grep"),
    ]
    process.kill_below(lab)
    assert [child.wait(10) for child in ours] == [-9, -9]
    assert [child.poll() for child in others] == [None] * 3


def test_the_processes_of_a_directory_name_it(tmp_path: Path, impostor: Impostor) -> None:
    lab = tmp_path / "lab-1"
    words = [("-pidfile", f"{lab}/pid"), (f"unix:{lab}/qmp,server=on",), (str(lab),), (f"{lab}0/pid",), ("other",)]
    started = [impostor(*each).pid for each in words]
    assert process.processes_of(lab) == sorted(started[:3])


def test_who_asks_for_them_is_none_of_them_and_nor_is_who_started_it(tmp_path: Path) -> None:
    asks = (
        "import pathlib, sys; from ec2zfs.lab.machines.process import processes_of; "
        "print(processes_of(pathlib.Path(sys.argv[1])))"
    )
    shell = ["sh", "-c", '"$0" -c "$1" "$2"; true', sys.executable, asks, str(tmp_path)]
    assert subprocess.run(shell, capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_user_is_asked_for_too(tmp_path: Path, impostor: Impostor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user can claim any path in a command line."""
    child = impostor("-pidfile", str(tmp_path / "pid"))
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    process.kill_below(tmp_path)
    assert child.poll() is None


def test_a_signal_goes_only_to_who_is_still_wanted(impostor: Impostor) -> None:
    child = impostor("first")
    process.send(child.pid, signal.SIGKILL, lambda words: b"second" in words)
    assert child.poll() is None
    process.send(child.pid, signal.SIGKILL, lambda words: b"first" in words)
    assert child.wait(10) == -9
    process.send(child.pid, signal.SIGKILL, lambda _: True)


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


def test_a_machine_is_not_discarded_under_who_starts_it(machine: Machine) -> None:
    machine.spec.directory.mkdir()
    with machine._locked():
        discarding = threading.Thread(target=machine.discard)
        discarding.start()
        discarding.join(0.2)
        assert machine.spec.directory.exists()
    discarding.join()
    assert not machine.spec.directory.exists()


@pytest.mark.parametrize(
    ("fresh", "why"),
    [(True, "image is not built"), (False, "no root disk")],
)
def test_what_cannot_start_says_why(machine: Machine, fresh: bool, why: str) -> None:
    with pytest.raises(Refused, match=why):
        machine.start(fresh=fresh)
