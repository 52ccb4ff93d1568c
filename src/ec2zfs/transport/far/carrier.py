"""A connection to the other end that a program of its own carries: ssh, say, where no port can be reached."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess

_PATIENCE_SECONDS = 0.5


class Carrier:
    """Runs the program, which ends when either side of the connection does; `end` is our side of it."""

    def __init__(self, argv: tuple[str, ...]) -> None:
        self.end, theirs = socket.socketpair()
        with theirs:
            number = theirs.fileno()
            self._process = subprocess.Popen(list(argv), stdin=number, stdout=number, stderr=subprocess.PIPE)

    @property
    def process(self) -> int:
        """Its number."""
        return self._process.pid

    def given_up(self) -> str:
        """End it; what it complained of."""
        self.end.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_PATIENCE_SECONDS)
        self._process.kill()
        self._process.wait()
        said = self._process.stderr
        text = b"" if said is None else os.read(said.fileno(), 1024)
        return text.decode("utf-8", "replace").strip()
