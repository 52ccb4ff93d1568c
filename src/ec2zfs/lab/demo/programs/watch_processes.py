"""Runs on any machine: records the argv and the environment of every process that it sees, for as long as it lives.

Standard input of `python3 -`. Prints `argv NUL environment RS` of each; what it has seen once it does not print again.
It looks some hundred times a second, and ends by a signal or when nobody reads any more.
"""

import contextlib
import os
import sys
import time

YOUNG_SECONDS = 3.0
"""A process may still become another program (exec) while it is young; an older one is looked at no more."""


def seen_now(known: dict[str, tuple[float, bytes]]) -> list[bytes]:
    """What is new, as `argv NUL environment` each; `known` holds since when a process is known, and its argv."""
    fresh, now = [], time.monotonic()
    alive = {name for name in os.listdir("/proc") if name.isdigit()}  # noqa: PTH208
    for gone in known.keys() - alive:
        del known[gone]
    for process in alive:
        since, before = known.get(process, (now, None))
        if before is not None and now - since > YOUNG_SECONDS:
            continue
        with contextlib.suppress(OSError):
            with open(f"/proc/{process}/cmdline", "rb") as file:  # noqa: PTH123
                argv = file.read()
            known[process] = since, argv
            if argv != before:
                with open(f"/proc/{process}/environ", "rb") as file:  # noqa: PTH123
                    fresh.append(argv + b"\x00" + file.read())
    return fresh


def main() -> None:
    """Watch until ended."""
    known: dict[str, tuple[float, bytes]] = {}
    while True:
        sys.stdout.buffer.writelines(entry + b"\x00\x1e" for entry in seen_now(known))
        sys.stdout.buffer.flush()
        time.sleep(0.01)


if __name__ == "__main__":
    main()
