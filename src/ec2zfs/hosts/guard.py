"""Has something done on this machine when this process ends, however it ends: by SIGKILL too.

A small process of its own session waits on a pipe that only we hold. Only a guard that is killed itself
leaves it undone.
"""

from __future__ import annotations

import subprocess

from ec2zfs.hosts import process

_CLOSING_SECONDS = 30.0
_WAIT = "trap '' HUP INT TERM; cat >/dev/null; "


class Guard:
    """Runs a small POSIX script with its arguments, `$1` and so on, at our end or when it is closed."""

    def __init__(self, script: str, *arguments: str) -> None:
        self._process = process.start(
            ("sh", "-c", _WAIT + script, "ec2zfs", *arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def close(self) -> None:
        """Have it done now, and wait for that, but not for ever."""
        process.close(self._process)
        process.reap(self._process, _CLOSING_SECONDS)
