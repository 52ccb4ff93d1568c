"""A TCP proxy between the two ends of a stream that knows where frames begin, and does to them what it is told.

It stands where an attacker on the line does: it sees and changes all, and has no key.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Sequence

_PROVING = 64
HEADER = struct.Struct(">BIQ")
TAG_BYTES = 16
DATA = 1

Meddling = Callable[[int, bytes], Sequence[bytes]]
"""From the number of a connection and a frame from the connecting end to what is passed on; raises `Cut`."""


class Cut(Exception):
    """The connection is to be cut here."""


def kind(frame: bytes) -> int:
    """What a frame says that it is."""
    return frame[0]


def untouched(_: int, frame: bytes) -> Sequence[bytes]:
    """Pass a frame on as it is."""
    return (frame,)


class Meddler:
    """Listens at `port`; each connection goes on to the port that is told first."""

    def __init__(self, to: int, meddling: Meddling = untouched) -> None:
        self._to = to
        self._meddling = meddling
        self._sockets = [socket.create_server(("127.0.0.1", 0))]
        self.port: int = self._sockets[0].getsockname()[1]
        self.connections = 0
        self.frames = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """End all."""
        for end in self._sockets:
            _shut(end)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._sockets[0].accept()
                self._sockets.append(near)
                far = socket.create_connection(("127.0.0.1", self._to))
                self._sockets.append(far)
                threading.Thread(target=self._there, args=(self.connections, near, far), daemon=True).start()
                threading.Thread(target=_back, args=(far, near), daemon=True).start()
                self.connections += 1

    def _there(self, number: int, near: socket.socket, far: socket.socket) -> None:
        with contextlib.suppress(OSError, Cut):
            far.sendall(_exactly(near, _PROVING))
            while True:
                head = _exactly(near, HEADER.size)
                frame = head + _exactly(near, HEADER.unpack(head)[1] + TAG_BYTES)
                self.frames += 1
                for passed in self._meddling(number, frame):
                    far.sendall(passed)
        _shut(near)
        _shut(far)


def _back(far: socket.socket, near: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := far.recv(65536):
            near.sendall(data)
    _shut(near)
    _shut(far)


def _exactly(end: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = end.recv(size - len(data))
        if not part:
            raise Cut
        data += part
    return bytes(data)


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
