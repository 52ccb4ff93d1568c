from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import pytest

from ec2zfs.errors import Ec2zfsError, HostError
from ec2zfs.execute import dead_man
from ec2zfs.execute.dead_man import DeadMan
from ec2zfs.execute.progress import Silent
from ec2zfs.hosts.host import Command, Result


class Machine:
    """Counts how often its end was put off; `failures` are raised first, one a time, from the second call on."""

    name = "receiver i-1"

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.seconds: list[str] = []
        self.tries = 0

    def run(self, command: Command) -> Result:
        self.tries += 1
        assert command.argv[3] == "ec2zfs-dead-man"
        if self.failures and self.tries > 1:
            raise self.failures.pop(0)
        self.seconds.append(command.argv[4])
        return Result(0, b"", b"")

    def exec_argv(self, command: Command) -> Sequence[str]:
        return command.argv

    def end(self, argv: Sequence[str]) -> None:
        return

    def explain(self, command: Command, status: int, stderr: bytes) -> Ec2zfsError:
        return HostError("unused")


class Told:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.bar = Silent().bar

    def say(self, message: str) -> None:
        self.lines.append(message)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_it_is_armed_at_once_and_for_the_whole_time() -> None:
    machine = Machine()
    with DeadMan(machine, 30):
        assert machine.seconds == ["1800"]


def test_it_is_extended_three_times_in_its_time_and_no_more_afterwards() -> None:
    machine = Machine()
    began = time.monotonic()
    with DeadMan(machine, 1 / 60):
        wait_for(lambda: len(machine.seconds) == 3)
    assert 0.6 < time.monotonic() - began < 5
    tries = machine.tries
    time.sleep(0.5)
    assert machine.tries == tries


def test_a_machine_that_cannot_be_armed_is_an_error() -> None:
    machine = Machine()
    machine.failures, machine.tries = [HostError("gone")], 1
    with pytest.raises(HostError, match="gone"), DeadMan(machine, 30):
        pytest.fail("the block must not be entered")


def test_a_silent_machine_ends_no_work_is_told_once_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_man, "_RETRY_SECONDS", 0.01)
    machine, told = Machine(HostError("no answer"), HostError("no answer"), HostError("no answer")), Told()
    with DeadMan(machine, 1 / 60, told):
        wait_for(lambda: len(machine.seconds) == 2)
    assert machine.tries >= 5
    assert told.lines == ["receiver i-1 will power itself off unless it answers again: no answer"]


def test_the_block_s_own_error_passes() -> None:
    with pytest.raises(Ec2zfsError, match="mine"), DeadMan(Machine(), 30):
        raise Ec2zfsError("mine")
