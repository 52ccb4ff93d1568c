"""One proved connection: frames go out whole, come in checked, and a silence is noticed.

What fails here is raised as OSError (the connection is lost) or `FrameError` (what came is not what was sent).
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time

from ec2zfs.transport.far.buffers import buffer
from ec2zfs.transport.far.frames import (
    FROM_RECEIVER,
    FROM_SENDER,
    HEADER,
    LONGEST_TEXT,
    OF_STREAM,
    TAG_BYTES,
    FrameError,
    Header,
    Kind,
    Opener,
    Sealer,
    parsed,
)
from ec2zfs.transport.far.keys import ControlKeys

_SLICES = 4
"""A silence is looked for so many times while it lasts."""
_UNSENT_BYTES = 256 << 10
"""How much of what was given to the kernel may wait to be sent: a slow connection takes few frames."""
_TCP_NOTSENT_LOWAT = 25
_TOTAL_RETRANSMITTED = struct.Struct("=100xI")
_TELLING_SECONDS = 0.5


class Connection:
    """`frame`: the size of the largest DATA frame in bytes. `silence`: after so many seconds it is lost.

    One thread reads. Several may send: control frames pass each other's way, and a data frame is never torn.
    """

    def __init__(self, end: socket.socket, keys: ControlKeys, *, sends: bool, frame: int, silence: float) -> None:
        self._end = end
        self._silence = silence
        self._expected = FROM_RECEIVER if sends else FROM_SENDER
        self._longest = 0 if sends else frame
        self._sealer = Sealer(keys.from_sender if sends else keys.from_receiver)
        self._opener = Opener(keys.from_receiver if sends else keys.from_sender)
        self._heard = 0
        self._sending = threading.Lock()
        self._head = memoryview(bytearray(HEADER.size))
        self._sealed = buffer(max(self._longest, LONGEST_TEXT) + TAG_BYTES)
        self._plain = memoryview(bytearray(LONGEST_TEXT))
        self._coming = select.poll()
        self._coming.register(end, select.POLLIN)
        end.settimeout(None)
        turn = struct.pack("ll", *divmod(int(silence / _SLICES * 1e6), 10**6))
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, turn)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, turn)

    def read(self) -> tuple[Header, memoryview]:
        """The next frame, good until the next call. Of a control frame the payload; of the stream's, still sealed."""
        self._fill(self._head)
        header = parsed(bytes(self._head), self._expected, self._longest)
        sealed = self._sealed[: header.sealed]
        if header.kind in OF_STREAM:
            self._fill(sealed)
            return header, sealed
        if header.sequence != self._heard:
            raise FrameError(f"{header.kind.name} frame {header.sequence} came in the place of {self._heard}")
        self._heard += 1
        self._fill(sealed)
        payload = self._plain[: header.length]
        self._opener.open(header, sealed, payload)
        return header, payload

    @property
    def more(self) -> bool:
        """Whether something has come that was not read yet."""
        return bool(self._coming.poll(0))

    def send(self, frame: memoryview) -> None:
        """Send a frame of the stream, which is sealed already."""
        with self._sending:
            self._send_all(frame)

    def tell(self, kind: Kind, payload: bytes = b"") -> None:
        """Send a control frame."""
        with self._sending:
            self._send_all(memoryview(self._sealer.sealed(kind, payload)))

    def part(self, kind: Kind, payload: bytes = b"") -> None:
        """Send a last control frame, if a frame that is being sent leaves room in time, and then no more."""
        if not self._sending.acquire(timeout=_TELLING_SECONDS):
            return
        try:
            with contextlib.suppress(OSError):
                self._send_all(memoryview(self._sealer.sealed(kind, payload)))
                self._end.shutdown(socket.SHUT_WR)
        finally:
            self._sending.release()

    def close(self) -> None:
        """End it; whoever reads or sends learns of it at once."""
        with contextlib.suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Give up its descriptor, once nothing is being sent; only the thread that reads may do so."""
        with self._sending:
            self._end.close()

    @property
    def finds_its_rate(self) -> bool:
        """Whether its congestion control measures the line, and does not take every loss for a line that is full."""
        with contextlib.suppress(OSError):
            return self._end.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).startswith(b"bbr")
        return False

    @property
    def retransmitted(self) -> int:
        """How many TCP segments were sent again on it, as the kernel counts them."""
        with contextlib.suppress(OSError, struct.error):
            info = self._end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TOTAL_RETRANSMITTED.size)
            return int(_TOTAL_RETRANSMITTED.unpack(info)[0])
        return 0

    def _fill(self, room: memoryview) -> None:
        moved = time.monotonic()
        while room:
            try:
                size = self._end.recv_into(room, len(room), socket.MSG_WAITALL)
            except BlockingIOError:
                self._require_life(moved)
                continue
            if size == 0:
                raise ConnectionResetError("the connection was closed")
            room, moved = room[size:], time.monotonic()

    def _send_all(self, data: memoryview) -> None:
        moved = time.monotonic()
        while data:
            size = self._sent(data)
            if size == 0:
                self._require_life(moved)
            else:
                data, moved = data[size:], time.monotonic()

    def _sent(self, data: memoryview) -> int:
        with contextlib.suppress(BlockingIOError):
            return self._end.send(data)
        return 0

    def _require_life(self, moved: float) -> None:
        if time.monotonic() - moved >= self._silence:
            raise TimeoutError(f"the other side was silent for {self._silence:g} s")


def prepare(end: socket.socket, congestion: str) -> None:
    """Set what makes a TCP connection fast: its congestion control, if the kernel has it, and little that waits."""
    with contextlib.suppress(OSError):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
        if congestion:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, congestion.encode())
