"""Threads that obey a halt: where they notice it, and what it does not disturb."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from ec2zfs.errors import CommandTimeout
from ec2zfs.hosts.halting import Halt, Halted, heed, pause, undisturbed
from ec2zfs.hosts.host import Command
from ec2zfs.hosts.local import LocalHost

HERE = LocalHost()


def halted_after(seconds: float, work: Callable[[], object]) -> float:
    """Seconds that the work went on in a thread after it was to end; raises what it raised."""
    halt = Halt()
    with ThreadPoolExecutor(1, initializer=halt.obey) as threads:
        doing = threads.submit(work)
        time.sleep(seconds)
        halt.order()
        began = time.monotonic()
        failure = doing.exception()
    if failure:
        assert isinstance(failure, Halted), failure
    return time.monotonic() - began if failure else -1


@pytest.mark.parametrize(
    "work", [lambda: pause(30), lambda: HERE.run(Command.of("sleep", "30"))], ids=["a pause", "a command"]
)
def test_waits_end_soon(work: Callable[[], object]) -> None:
    assert 0 <= halted_after(0.1, work) < 5


def test_nothing_begins_after_it() -> None:
    def next_command() -> None:
        time.sleep(0.2)
        HERE.run(Command.of("true"))

    assert halted_after(0, next_command) >= 0


def test_what_ends_processes_is_not_disturbed() -> None:
    def ending() -> None:
        with undisturbed():
            time.sleep(0.2)
            assert HERE.run(Command.of("echo", "ended")).text == "ended\n"
        heed()

    assert halted_after(0, ending) >= 0


def test_time_limits_and_input_are_as_without() -> None:
    def work() -> None:
        assert HERE.run(Command.of("sh", "-c", "sleep 0.5; cat", stdin=bytes(300_000))).stdout == bytes(300_000)
        assert HERE.run(Command.of("sh", "-c", "sleep 0.5; echo late")).text == "late\n"
        with pytest.raises(CommandTimeout):
            HERE.run(Command.of("sleep", "30", timeout=0.5))

    assert halted_after(4, work) == -1


def test_a_thread_that_obeys_none_notices_nothing() -> None:
    Halt().order()
    heed()
    pause(0)
