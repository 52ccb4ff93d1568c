"""Runs on any machine: records the argv and the environment of every process that it sees, for as long as it lives.

Standard input of `python3 -`. Prints `argv NUL environment RS` of each; what it has seen once it does not print again.
It looks some hundred times a second, and ends by a signal, with its parent, or when nobody reads any more. Opening a
file costs an emulated machine milliseconds, so it opens none in vain.
"""

import math
import os
import select
import sys
import time
from dataclasses import dataclass

YOUNG_SECONDS = 3.0
"""A process may still become another program (exec) while it is young; an older one is looked at no more."""


@dataclass
class Process:
    """A process: since when it is known, when to look at it again, and what was seen of it."""

    since: float
    due: float
    argv: bytes = b""
    environment: bytes = b""


def seen_now(known: dict[str, Process], proc: str = "/proc") -> list[bytes]:
    """What is new, as `argv NUL environment` each; `known` holds the processes that live, by their number."""
    fresh, now = [], time.monotonic()
    alive = {name for name in os.listdir(proc) if name.isdigit()}  # noqa: PTH208
    for gone in known.keys() - alive:
        del known[gone]
    for number in alive:
        process = known.setdefault(number, Process(now, now))
        if process.due <= now:
            age = now - process.since
            process.due = now + age / 2 if age < YOUNG_SECONDS else math.inf
            fresh += looked_at(process, f"{proc}/{number}")
    return fresh


def looked_at(process: Process, directory: str) -> list[bytes]:
    """What is new of this process."""
    before = process.argv, process.environment
    # The argv first: it counts alone when the process ends before the other look, or hides its environment.
    argv = content(f"{directory}/cmdline")
    if argv and argv != process.argv:
        process.argv, process.environment = argv, b""
    process.environment = process.environment or content(f"{directory}/environ")
    changed = (process.argv, process.environment) != before
    return [process.argv + b"\x00" + process.environment] if changed else []


def content(path: str) -> bytes:
    """What the file holds; nothing when it cannot be read, or is there no more."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return b""


def main() -> None:
    """Watch until ended."""
    known: dict[str, Process] = {}
    newest, due, took = b"", 0.0, 0.0
    load = os.open("/proc/loadavg", os.O_RDONLY)
    reader, parent = select.poll(), os.getppid()
    reader.register(sys.stdout, 0)
    # As long a pause as the look took: more would cost an emulated machine half of its speed.
    while not reader.poll(max(10, 1000 * took)) and os.getppid() == parent:
        # Its last word is the number of the newest process.
        began, before, newest = time.monotonic(), newest, os.pread(load, 256, 0).split()[-1]
        if newest != before or due <= began:
            sys.stdout.buffer.writelines(entry + b"\x00\x1e" for entry in seen_now(known))
            sys.stdout.buffer.flush()
            due = min(process.due for process in known.values())
        took = time.monotonic() - began


if __name__ == "__main__":
    main()
