"""A module of this program as a process of its own, for work that would hold Python's lock; spoken to in lines.

It leads a session of its own, so a Ctrl-C reaches us alone. Its input is a pipe that only we hold: when this process
ends, however it ends, the child reads the end of its input and is to end too. What it complains of is kept, for the one
who tells of its end.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from typing import IO

from ec2zfs.hosts import process
from ec2zfs.hosts.secret import Secret

_PIECE = 1 << 16
_SAID = 4096
_TIDYING_SECONDS = 15.0
"""How long it may take to remove what it made."""


class Child:
    """A running module. Its first line is `orders`, which may hold a secret."""

    def __init__(self, module: str, orders: Secret) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child
        # -P: a directory in which we happen to stand is no place for modules.
        self._process = process.start(
            (sys.executable, "-P", "-m", module),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
        )
        self._heard = bytearray()
        self.send(orders.reveal())

    @property
    def output(self) -> int:
        """The descriptor to wait on until it can be heard."""
        return _there(self._process.stdout).fileno()

    @property
    def number(self) -> int:
        """Its process id."""
        return self._process.pid

    def send(self, line: bytes) -> None:
        """Give it a line. Raises BrokenPipeError when it has ended."""
        left = memoryview(line + b"\n")
        while left:
            left = left[os.write(_there(self._process.stdin).fileno(), left) :]

    def hear(self) -> list[bytes] | None:
        """The lines that are there; waits for a part of one. None when it has ended."""
        piece = os.read(self.output, _PIECE)
        if not piece:
            return None
        self._heard += piece
        *lines, rest = bytes(self._heard).split(b"\n")
        self._heard = bytearray(rest)
        return lines

    def status(self) -> int | None:
        """Its exit code (-n for signal n), once it has ended; waits some seconds for that."""
        process.reap(self._process, process.GRACE_SECONDS)
        return self._process.returncode

    def said(self) -> str:
        """The end of what it printed on stderr."""
        number = self._said.fileno()
        return os.pread(number, _SAID, max(0, os.fstat(number).st_size - _SAID)).decode("utf-8", "replace").strip()

    def finish(self) -> None:
        """Let it come to its end, which may take it some seconds."""
        _there(self._process.stdin).close()
        process.reap(self._process, _TIDYING_SECONDS)
        self.end()

    def end(self) -> None:
        """End it now; it may tidy up first."""
        process.kill(self._process, signal.SIGTERM)
        if not process.reap(self._process, _TIDYING_SECONDS):
            process.kill(self._process, signal.SIGKILL)
            process.reap(self._process, process.GRACE_SECONDS)
        process.close(self._process)
        self._said.close()


def _there(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # noqa: S101 - we made it a pipe
    return stream
