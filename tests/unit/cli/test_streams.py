"""A command whose output cannot be written any more still does all of its work, cleanup included."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import argparse, sys, time
from pathlib import Path
from ec2zfs.cli.ending import run_to_its_end
from ec2zfs.cli.output import chosen_output

def handler(arguments):
    output = chosen_output(arguments)
    try:
        output.say("working")
        with output.bar("read", 10, "B") as bar:
            sys.stdin.readline()
            bar.advance(10)
    finally:
        output.say("locking")
        output.table("volumes", [{"place": "v1s1"}])
        output.warn("nobody hears")
        Path(sys.argv[1]).write_text("locked")
    return 0

sys.exit(run_to_its_end(argparse.Namespace(handler=handler, json=sys.argv[2] == "json", verbose=False)))
"""


def command(done: Path, style: str) -> list[str]:
    return [sys.executable, "-c", PROGRAM, str(done), style]


@pytest.mark.parametrize("style", ["words", "json"])
def test_a_reader_that_goes_away_ends_the_printing_alone(tmp_path: Path, style: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    argv = command(tmp_path / "done", style)
    ran = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (tmp_path / "done").read_text() == "locked"
    assert ran.returncode == 1
    assert "nobody hears" in ran.stderr
    assert "BrokenPipe" not in ran.stderr


def test_a_full_disk_under_the_log_is_told_in_the_end(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        argv = command(tmp_path / "done", "words")
        ran = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (tmp_path / "done").read_text() == "locked"
    assert ran.returncode == 1
    assert ran.stderr.endswith("ec2zfs: what was to be printed could not be written: No space left on device.\n")


def test_a_terminal_that_is_closed_ends_the_work_in_good_order(tmp_path: Path) -> None:
    """The hangup interrupts the work; printing to the lost terminal fails, and the cleanup runs all the same."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", *command(tmp_path / "done", "words")], stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    seen = b""
    while b"read" not in seen:
        seen += os.read(ours, 1000)
    os.close(ours)
    assert process.wait(20) == 130
    assert (tmp_path / "done").read_text() == "locked"
