"""Only one run at a time per pool, and one command at a time on the site's snapshots, and in the staging pool. The
kernel holds each lock (flock), so a dead process cannot.

The file is never deleted (two could then hold two files), and what is written in it only tells people who holds it.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from ec2zfs.errors import AlreadyRunning, ConfigurationError

PATIENCE = 120.0
"""Seconds for which the lock of the site's snapshots is waited for."""


@contextmanager
def run_lock(state: Path, pool: str) -> Iterator[None]:
    """Hold the pool's lock for a `with` block; it is kept in the directory `state`, which is made when missing.

    Raises `AlreadyRunning` at once when another process holds it, naming its pid and since when; `ConfigurationError`
    when the directory cannot be written. Two machines do not see each other's locks.
    """
    with _held(state, f"{pool}.lock", f"Another run of pool {pool} is under way", patience=0.0):
        yield


@contextmanager
def site_lock(state: Path) -> Iterator[None]:
    """Hold the lock of the site's snapshots for a `with` block: taking and pruning are short, so it is waited for.

    Raises as `run_lock` does, `AlreadyRunning` when `PATIENCE` has passed.
    """
    with _held(state, "site.lock", "Another command works on the site's snapshots", PATIENCE):
        yield


@contextmanager
def staging_lock(state: Path) -> Iterator[None]:
    """Hold the lock of the staging pool for a `with` block. Raises as `run_lock` does: staging may take hours."""
    with _held(state, "staging.lock", "Another command works in the staging pool", patience=0.0):
        yield


@contextmanager
def _held(state: Path, name: str, taken: str, patience: float) -> Iterator[None]:
    path = state / name
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Children must not inherit the descriptor, or an ssh master that outlives us would hold the lock: os.open sees
        # to that (PEP 446).
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigurationError(
            f"The lock {path} cannot be made: {error.strerror}.", hint="Set paths.state to a directory of your own."
        ) from error
    try:
        _take(descriptor, path, taken, patience)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path, taken: str, patience: float) -> None:
    ends = time.monotonic() + patience
    while not _taken(descriptor):
        if time.monotonic() >= ends:
            holder = os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip() or "a process that just began"
            raise AlreadyRunning(f"{taken}: {holder} holds {path}.", hint="Wait until it ends, or end it.")
        time.sleep(0.1)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()} since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC\n".encode(), 0)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
