"""A line between the two ends of a stream that is cut as often as is ordered."""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time
from collections.abc import Callable

from ec2zfs.hosts.host import Host
from ec2zfs.transport.direct import address_of


class Line:
    """Passes on what goes to a receiver; after so many bytes all connections are cut, so many times.

    After the last cut it passes on `pace` bytes a second.
    """

    def __init__(self, cuts: int, after: int, tell: Callable[[str], None], pace: float = math.inf) -> None:
        self._cuts, self._after, self._tell, self._pace = cuts, after, tell, pace
        self._slow = threading.Event()
        self._busy = threading.Lock()
        self._passed = 0
        self._all: list[socket.socket] = []
        self._up: list[socket.socket] = []
        self._lock = threading.Lock()

    def reached(self, host: Host, port: int) -> tuple[str, int]:
        """As `DirectTransport.reached`: the end of the line here."""
        near = socket.create_server(("127.0.0.1", 0))
        self._all.append(near)
        threading.Thread(target=self._serve, args=(near, (address_of(host), port)), daemon=True).start()
        return "127.0.0.1", near.getsockname()[1]

    def close(self) -> None:
        """End all."""
        for end in self._all:
            _cut(end)
            end.close()

    def _serve(self, near: socket.socket, far: tuple[str, int]) -> None:
        while pair := _pair(near, far):
            here, there = pair
            with self._lock:
                self._all += pair
                self._up += pair
            for pair in ((here, there), (there, here)):
                threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
                self._count(len(data))
                if self._slow.is_set():
                    with self._busy:
                        time.sleep(len(data) / self._pace)
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
                if not self._cuts:
                    self._slow.set()


def _pair(near: socket.socket, far: tuple[str, int]) -> tuple[socket.socket, socket.socket] | None:
    """Who has come to `near`, and the way on; None when there will be no more."""
    with contextlib.suppress(OSError):
        here = near.accept()[0]
        try:
            return here, socket.create_connection(far)
        except OSError:
            here.close()
    return None


def _cut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
