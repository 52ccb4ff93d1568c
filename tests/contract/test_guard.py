"""A guard does its work whatever ends the one that it guards."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ec2zfs.hosts.guard import Guard

_GUARDED = """
import sys, time
from ec2zfs.hosts.guard import Guard
guard = Guard('rm -- "$1"', sys.argv[1])
print("ready", flush=True)
time.sleep(600)
"""


def test_it_is_done_when_it_is_closed(tmp_path: Path) -> None:
    marked = tmp_path / "a name"
    marked.touch()
    guard = Guard('rm -- "$1"', str(marked))
    time.sleep(0.05)
    assert marked.exists()
    guard.close()
    assert not marked.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_is_done_when_its_process_is_killed(tmp_path: Path, number: signal.Signals) -> None:
    marked = tmp_path / "a name"
    marked.touch()
    argv = [sys.executable, "-c", _GUARDED, str(marked)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as guarded:
        assert guarded.stdout is not None
        assert guarded.stdout.readline() == b"ready\n"
        assert marked.exists()
        guarded.send_signal(number)
    _until(lambda: not marked.exists())


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
