"""The frames that have come at the receiver, put in order within a window. Bounded; knows nothing of sockets."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from ec2zfs.transport.far.buffers import buffer
from ec2zfs.transport.far.frames import FrameError, Header, Kind


@dataclass(frozen=True)
class Piece:
    """What a frame held: `data` is the part of `room` that is used, or END's payload."""

    kind: Kind
    room: memoryview
    size: int

    @property
    def data(self) -> memoryview:
        """The plaintext."""
        return self.room[: self.size]


class Inbox:
    """Gives out pieces in their order, each once. `window`: how many frames beyond those given out may come."""

    def __init__(self, window: int, size: int) -> None:
        self._window = window
        self._size = size
        self._changed = threading.Condition()
        self._spare: list[memoryview] = []
        self._pieces: dict[int, Piece] = {}
        self._given = 0
        self._received = 0
        self._last: int | None = None
        self._closed = False

    @property
    def held(self) -> int:
        """How many frames wait for their turn or for the command."""
        return len(self._pieces)

    @property
    def stand(self) -> tuple[int, int]:
        """All frames below the first number have come; frames below the second may be sent."""
        with self._changed:
            return self._received, self._given + self._window

    def room(self) -> memoryview:
        """A buffer to open a frame into; `put` takes it."""
        with self._changed:
            if self._spare:
                return self._spare.pop()
        return buffer(self._size)

    def put(self, header: Header, room: memoryview) -> None:
        """Add a frame that was opened into `room`. One that has been here is dropped.

        Raises `FrameError` for one that the sender was not allowed to send.
        """
        sequence = header.sequence
        with self._changed:
            if sequence >= self._given + self._window or (self._last is not None and sequence > self._last):
                raise FrameError(f"frame {sequence} came, which was not to be sent yet")
            if sequence < self._received or sequence in self._pieces:
                self._spare.append(room)
                return
            if header.kind is Kind.END:
                self._last = sequence
            self._pieces[sequence] = Piece(header.kind, room, header.length)
            while self._received in self._pieces:
                self._received += 1
            if sequence == self._given:
                self._changed.notify_all()

    def take(self) -> Piece | None:
        """The next piece in the order of the stream, as soon as it is there; None once the inbox is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._given in self._pieces)
            return None if self._closed else self._pieces[self._given]

    def taken(self, piece: Piece) -> None:
        """The piece that `take` gave has been passed on: its place in the window is free."""
        with self._changed:
            del self._pieces[self._given]
            self._given += 1
            self._spare.append(piece.room)

    def close(self) -> None:
        """Let who waits go, with nothing."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
