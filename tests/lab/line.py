"""The line between the controller and the receiver, which is cut as often as is ordered.

Run as `python -m tests.lab.line FD CUTS BYTES WORDS…` it is `ec2zfs WORDS…` whose streams go through such a line. What
happens is told on the descriptor FD: `secret` with each transfer's own, and `cut`.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import sys
import threading
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from unittest.mock import patch

from ec2zfs.hosts.host import Host
from ec2zfs.transport import direct
from ec2zfs.transport.direct import DirectTransport, address_of


class Line:
    """Passes on what goes to a receiver; after so many bytes all connections are cut, so many times."""

    def __init__(self, cuts: int, after: int, tell: Callable[[str], None]) -> None:
        self._cuts, self._after, self._tell = cuts, after, tell
        self._passed = 0
        self._up: list[socket.socket] = []
        self._lock = threading.Lock()

    def reached(self, host: Host, port: int) -> tuple[str, int]:
        """As `DirectTransport.reached`: the end of the line here."""
        near = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, args=(near, (address_of(host), port)), daemon=True).start()
        return "127.0.0.1", near.getsockname()[1]

    def _serve(self, near: socket.socket, far: tuple[str, int]) -> None:
        while True:
            here = near.accept()[0]
            there = socket.create_connection(far)
            with self._lock:
                self._up += [here, there]
            for pair in ((here, there), (there, here)):
                threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
                self._count(len(data))
        _cut(one)
        _cut(other)

    def _count(self, amount: int) -> None:
        with self._lock:
            self._passed += amount
            if self._cuts and self._passed > self._after:
                self._passed, self._cuts = 0, self._cuts - 1
                while self._up:
                    _cut(self._up.pop())
                self._tell("cut")


def _cut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


def main(descriptor: int, cuts: int, after: int, words: list[str]) -> int:
    """Be `ec2zfs` behind a line."""
    from ec2zfs.cli import connections
    from ec2zfs.cli import main as ec2zfs

    def tell(what: str) -> None:
        os.write(descriptor, f"{what}\n".encode())

    def told_secret(size: int) -> bytes:
        made = secrets.token_bytes(size)
        tell(f"secret {made.hex()}")
        return made

    line = Line(cuts, after, tell)
    with (
        patch.object(direct, "secrets", SimpleNamespace(token_bytes=told_secret)),
        patch.object(connections, "DirectTransport", partial(DirectTransport, reached=line.reached)),
    ):
        return ec2zfs(words)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]))
