"""The frames that the sender holds: sealed, on their way, and not yet acknowledged. Bounded; knows nothing of sockets.

Each connection takes the next frame as soon as it can, so a faster one carries more. What a lost connection had taken
goes back to the front.
"""

from __future__ import annotations

import heapq
import threading
import time
from dataclasses import dataclass, field

from ec2zfs.transport.far.buffers import buffer

_CRAWLS_SECONDS = 2.0
"""A frame that all others wait for is sent once more, by a connection that is idle, after so long."""
_BLOCKS_SECONDS = 0.5
"""And by any connection after so long, once the others have used half of the room that the receiver has for them."""


@dataclass
class Parcel:
    """A sealed frame in its buffer; `carriers` are the connections that are sending it just now or have sent it."""

    sequence: int
    room: memoryview
    size: int
    carriers: list[object] = field(default_factory=list)
    busy: int = 0
    taken: float = 0.0

    @property
    def frame(self) -> memoryview:
        """As it travels."""
        return self.room[: self.size]


class Outbox:
    """At most `capacity` frames of `size` bytes each; buffers are made when first needed and used again.

    `received`: so many of the first frames were acknowledged.
    """

    def __init__(self, capacity: int, size: int) -> None:
        self._capacity = capacity
        self._size = size
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._work = threading.Condition(self._lock)
        self._spare: list[memoryview] = []
        self._made = 0
        self._held: dict[int, Parcel] = {}
        self._again: list[int] = []
        self._next = 0
        self._put = 0
        self._limit = 0
        self._advanced = time.monotonic()
        self.received = 0
        self._closed = False

    @property
    def held(self) -> int:
        """How many frames have not been acknowledged."""
        return len(self._held)

    @property
    def begun(self) -> int:
        """How many frames connections have taken, which goes on evenly where one frame holds up what was received."""
        return self._next

    @property
    def stalled(self) -> float:
        """For how many seconds none came of those that were sent and that the receiver has room for."""
        with self._lock:
            return time.monotonic() - self._advanced if self.received < min(self._next, self._limit) else 0.0

    @property
    def line_is_slow(self) -> bool:
        """Whether there are frames that might be sent and that no connection has taken."""
        with self._lock:
            return min(self._put, self._limit) > self._next

    def room(self) -> memoryview | None:
        """A buffer for the next frame, as soon as there is one; None once the outbox is closed."""
        with self._lock:
            self._room.wait_for(lambda: self._closed or self._spare or self._made < self._capacity)
            if self._closed:
                return None
            if self._spare:
                return self._spare.pop()
            self._made += 1
        return buffer(self._size)

    def put(self, room: memoryview, size: int) -> None:
        """Add the next frame, which stands at the beginning of its buffer."""
        with self._lock:
            self._held[self._put] = Parcel(self._put, room, size)
            self._put += 1
            self._work.notify()

    def take(self, carrier: object, seconds: float) -> Parcel | None:
        """The next frame for a connection, which is to be given to `sent` after; None if none came in time."""
        deadline = time.monotonic() + seconds
        with self._lock:
            while not self._closed:
                parcel = self._chosen(carrier)
                if parcel is not None:
                    parcel.carriers.append(carrier)
                    parcel.busy += 1
                    parcel.taken = time.monotonic()
                    return parcel
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self._work.wait(min(left, _CRAWLS_SECONDS))
        return None

    def _chosen(self, carrier: object) -> Parcel | None:
        while self._again:
            parcel = self._held.get(heapq.heappop(self._again))
            if parcel is not None:
                return parcel
        if self._next < min(self._put, self._limit):
            blocking = (
                self._first(carrier, _BLOCKS_SECONDS) if self._next > (self.received + self._limit) // 2 else None
            )
            self._next += blocking is None
            return blocking or self._held[self._next - 1]
        return self._first(carrier, _CRAWLS_SECONDS)

    def _first(self, carrier: object, seconds: float) -> Parcel | None:
        """The frame that all others wait for, if other connections have had it for so long."""
        first = self._held.get(self.received)
        if first is None or not first.carriers or carrier in first.carriers:
            return None
        return first if time.monotonic() - first.taken > seconds else None

    def sent(self, parcel: Parcel) -> None:
        """A connection does not need the frame's buffer any more, whether it was sent or not."""
        with self._lock:
            parcel.busy -= 1
            self._recycle(parcel)

    def lost(self, carrier: object) -> None:
        """Have what only this connection had taken sent again."""
        with self._lock:
            for parcel in self._held.values():
                if carrier in parcel.carriers:
                    parcel.carriers.remove(carrier)
                    if not parcel.carriers:
                        heapq.heappush(self._again, parcel.sequence)
            self._work.notify_all()

    def acknowledged(self, received: int, limit: int) -> bool:
        """All frames below `received` have come, and those below `limit` may be sent; whether that can be true."""
        with self._lock:
            if received > self._next or limit < received:
                return False
            for sequence in range(self.received, received):
                self._recycle(self._held.pop(sequence))
            if received > self.received or self.received == self._next:
                self._advanced = time.monotonic()
            self.received = max(received, self.received)
            allowed = min(limit, self._put) - max(self._limit, self._next)
            self._limit = max(limit, self._limit)
            if allowed > 0:
                self._work.notify(allowed)
        return True

    def _recycle(self, parcel: Parcel) -> None:
        if not parcel.busy and parcel.sequence not in self._held and not self._closed:
            self._spare.append(parcel.room)
            self._room.notify()

    def close(self) -> None:
        """Let all that wait go, with nothing."""
        with self._lock:
            self._closed = True
            self._room.notify_all()
            self._work.notify_all()
