"""One run at a time per pool, by a lock that a dead process cannot hold."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ec2zfs.errors import AlreadyRunning, ConfigurationError, ExitCode
from ec2zfs.runs.lock import run_lock

HOLDER = """
import sys, subprocess
from pathlib import Path
from ec2zfs.runs.lock import run_lock
with run_lock(Path(sys.argv[1]), "cloud"):
    child = subprocess.Popen(["sleep", "60"], close_fds=False, stdout=subprocess.DEVNULL)
    print(child.pid, flush=True)
    sys.stdin.readline()
"""


def holder(state: Path) -> tuple[subprocess.Popen[str], int]:
    """Another process that holds the lock, and the pid of a child of it that outlives it."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(state)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def test_a_second_run_is_refused_with_the_name_of_the_first(tmp_path: Path) -> None:
    process, child = holder(tmp_path)
    try:
        said = rf"Another run of pool cloud is under way: process {process.pid} since \d{{4}}-.* UTC holds {tmp_path}"
        with pytest.raises(AlreadyRunning, match=said) as caught, run_lock(tmp_path, "cloud"):
            pytest.fail("the lock was taken twice")
        assert caught.value.exit_code is ExitCode.LOCKED
    finally:
        process.communicate("\n")
        os.kill(child, 9)


def test_a_killed_run_leaves_no_lock_even_when_its_children_live(tmp_path: Path) -> None:
    process, child = holder(tmp_path)
    process.kill()
    process.communicate()
    try:
        with run_lock(tmp_path, "cloud"):
            assert f"process {os.getpid()} since" in (tmp_path / "cloud.lock").read_text()
    finally:
        os.kill(child, 9)


def test_the_lock_can_be_taken_again_and_other_pools_have_their_own(tmp_path: Path) -> None:
    for _ in range(2):
        with run_lock(tmp_path / "new", "cloud"), run_lock(tmp_path / "new", "other"):
            pass


def test_the_same_process_cannot_hold_it_twice(tmp_path: Path) -> None:
    with run_lock(tmp_path, "cloud"), pytest.raises(AlreadyRunning), run_lock(tmp_path, "cloud"):
        pytest.fail("the lock was taken twice")


def test_a_state_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ConfigurationError, match=r"cannot be made: .* Set paths.state"),
        run_lock(tmp_path / "file", "x"),
    ):
        pytest.fail("there is no lock")
