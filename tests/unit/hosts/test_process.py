"""Processes of this machine, as they are started."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.contract.processes import running, soon

from ec2zfs.cli.interrupts import interruptible
from ec2zfs.hosts import process
from ec2zfs.hosts.host import Command, Stage
from ec2zfs.hosts.local import LocalHost
from ec2zfs.hosts.pipeline import run_pipeline
from ec2zfs.hosts.shelter import interrupt, sheltered

WORDS = ("sleep", "58.75")


def a_command() -> None:
    process.execute(WORDS, None, None, lambda: None)


def a_pipeline() -> None:
    here = LocalHost()
    run_pipeline([Stage(here, Command(WORDS)), Stage(here, Command.of("cat"))])


@pytest.mark.parametrize("work", [a_command, a_pipeline])
def test_what_an_interrupt_finds_just_begun_is_ended(work: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """The program runs already; we have not yet heard its number when the interrupt comes."""
    fork = subprocess._fork_exec  # type: ignore[attr-defined]
    begun: list[bool] = []

    def interrupted(*words: object) -> int:
        number = int(fork(*words))
        begun.append(soon(lambda: bool(running(*WORDS))))
        signal.raise_signal(signal.SIGINT)
        return number

    monkeypatch.setattr(subprocess, "_fork_exec", interrupted)
    with pytest.raises(KeyboardInterrupt), interruptible():
        work()
    assert begun == [True]
    assert not running(*WORDS)


class Connecting(LocalHost):
    """A host to which the way is long, and interrupted at its beginning."""

    arrived = False

    def exec_argv(self, command: Command) -> Sequence[str]:
        signal.raise_signal(signal.SIGINT)
        self.arrived = True
        return command.argv


def test_an_interrupt_need_not_wait_for_a_connection() -> None:
    here, there = LocalHost(), Connecting()
    with pytest.raises(KeyboardInterrupt), interruptible():
        run_pipeline([Stage(here, Command(WORDS)), Stage(there, Command.of("cat"))])
    assert not there.arrived
    assert not running(*WORDS)


def test_an_interrupt_comes_at_the_end_of_the_outermost_shelter_and_once() -> None:
    reached: list[str] = []

    def work() -> None:
        with sheltered():
            with sheltered():
                interrupt()
                reached.append("inner")
            reached.append("outer")
        reached.append("after it")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert reached == ["inner", "outer"]
    with sheltered():
        reached.append("the next")


def older_linux(_: int) -> int:
    raise OSError(errno.ENOSYS, "Function not implemented")


@pytest.mark.parametrize("tell", [os.pidfd_open, older_linux])
def test_an_end_is_waited_for_and_no_longer(tell: Callable[[int], int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pidfd_open", tell)
    started = process.start(WORDS, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert not process.reap(started, 0.05)
    finally:
        process.kill(started, signal.SIGKILL)
    assert process.reap(started, 10.0)
    assert process.reap(started, 0.0)
    assert started.returncode == -signal.SIGKILL


def test_all_who_wait_for_an_end_are_told_of_it() -> None:
    for _ in range(20):
        started = process.start(WORDS, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with ThreadPoolExecutor(8) as pool:
            told = [pool.submit(process.reap, started, 10.0) for _ in range(8)]
            process.kill(started, signal.SIGKILL)
        assert all(each.result() for each in told)
