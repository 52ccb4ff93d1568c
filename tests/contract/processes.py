"""What runs on this machine, as /proc tells it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _read(pid: int, name: str) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/{name}").read_bytes()
    return b""


def argv(pid: int) -> list[str]:
    """The words of a process (sshd writes its state in place of them); none if it is gone."""
    return _read(pid, "cmdline").rstrip(b"\0").decode("utf-8", "replace").split("\0")


def descendants(ancestor: int) -> dict[int, list[str]]:
    """Pid and words of all processes below one."""
    parents = {pid: _parent(pid) for pid in _pids()}
    found: dict[int, list[str]] = {}
    new = {ancestor}
    while new:
        new = {pid for pid, parent in parents.items() if parent in new}
        found |= {pid: argv(pid) for pid in new}
    return found


def _parent(pid: int) -> int | None:
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    return int(fields[1]) if fields else None


def running(*words: str) -> list[int]:
    """Pids of the processes with exactly these words."""
    return [pid for pid in _pids() if argv(pid) == list(words)]


def mentioning(text: bytes) -> list[int]:
    """Pids of the processes that have the text in their words or their environment."""
    return [pid for pid in _pids() if text in _read(pid, "cmdline") or text in _read(pid, "environ")]


def soon(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Whether the condition comes true within the time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
