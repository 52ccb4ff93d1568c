"""Ctrl-C and SIGTERM in a real process: the first ends the work, the second waits, the third ends all."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import sys, time
from ec2zfs.cli.interrupts import interruptible

def said(word):
    print(word, flush=True)

try:
    with interruptible():
        try:
            said("working")
            time.sleep(30)
        except KeyboardInterrupt:
            said("cleaning")
            sys.stdin.readline()
            said("clean")
            raise
except KeyboardInterrupt:
    said("ended")
"""


class Watched:
    """The program above, with what it says line by line."""

    def __init__(self, *prefix: str) -> None:
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-c", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.next() == "working"

    def next(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def rest(self, stdin: str | None) -> tuple[list[str], str]:
        out, err = self.process.communicate(stdin, timeout=20)
        return out.split(), err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_ends_the_work_and_the_cleanup_runs(number: signal.Signals) -> None:
    watched = Watched()
    watched.process.send_signal(number)
    assert watched.next() == "cleaning"
    assert watched.rest("done\n") == (["clean", "ended"], "")


def test_the_second_is_told_to_wait_and_the_cleanup_goes_on() -> None:
    watched = Watched()
    watched.process.send_signal(signal.SIGINT)
    assert watched.next() == "cleaning"
    watched.process.send_signal(signal.SIGINT)
    assert watched.process.stderr is not None
    assert watched.process.stderr.readline() == (
        "ec2zfs: ending in good order. Once more leaves undone what is still to be locked or stopped.\n"
    )
    assert watched.rest("done\n") == (["clean", "ended"], "")


def test_the_third_ends_the_cleanup() -> None:
    watched = Watched()
    watched.process.send_signal(signal.SIGINT)
    assert watched.next() == "cleaning"
    watched.process.send_signal(signal.SIGTERM)
    assert watched.process.stderr is not None
    watched.process.stderr.readline()
    watched.process.send_signal(signal.SIGINT)
    said, _ = watched.rest(None)
    assert said == ["ended"]


def test_a_signal_that_our_parent_ignores_stays_ignored() -> None:
    watched = Watched("nohup")
    watched.process.send_signal(signal.SIGHUP)
    watched.process.send_signal(signal.SIGTERM)
    assert watched.next() == "cleaning"
    said, err = watched.rest("done\n")
    assert said == ["clean", "ended"]
    assert "ending in good order" not in err
