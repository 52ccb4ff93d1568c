"""Moves bytes from one pipe to the next without ever waiting: the caller polls. Holds one buffer and no more.

It notices which of its two sides goes away first, and closes neither by itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
from collections.abc import Callable

from ec2zfs.hosts.throttle import Throttle, unlimited

_BUFFER = 1 << 20


class Flow:
    """The way from a `source` (None: from `pending` alone) to a `sink`, both pipe ends of ours.

    `throttle` says how much may pass. What has been taken from the source passes all the same.
    """

    def __init__(
        self,
        source: int | None,
        sink: int,
        meter: Callable[[int], None],
        pending: bytes = b"",
        throttle: Throttle | None = None,
    ) -> None:
        self._source = source
        self._sink = sink
        self._meter = meter
        self._throttle = throttle or Throttle(unlimited)
        self._buffer = bytearray(_BUFFER if source is not None else 0)
        self._pending = memoryview(pending)
        self.source_ended = source is None
        self.broken = False
        for end in (source, sink):
            if end is not None:
                _prepare(end)

    @property
    def blocked(self) -> bool:
        """Whether it is the sink that does not take what is there."""
        return bool(self._pending) and not self.broken

    @property
    def done(self) -> bool:
        """Whether all that the source gave has been taken."""
        return self.source_ended and not self._pending

    @property
    def awaited(self) -> tuple[int, int] | None:
        """The descriptor and the poll event without which nothing moves; None when nothing will, or may."""
        if self.broken or self.done:
            return None
        if self._pending or self._source is None:
            return self._sink, select.POLLOUT
        return None if self.held_back else (self._source, select.POLLIN)

    @property
    def held_back(self) -> float:
        """For how many seconds nothing may be taken from the source, by the rate that holds now."""
        return 0.0 if self.source_ended else self._throttle.wait()

    def step(self) -> bool:
        """Move what can be moved now; whether that was anything."""
        with contextlib.suppress(BlockingIOError):
            if not self._pending and self._source is not None:
                size = os.readv(self._source, [memoryview(self._buffer)[: self._throttle.turn(_BUFFER)]])
                self.source_ended = size == 0
                self._pending = memoryview(self._buffer)[:size]
        return bool(self._pending) and self._write()

    def _write(self) -> bool:
        try:
            size = os.write(self._sink, self._pending)
        except BlockingIOError:
            return False
        except BrokenPipeError:
            self.broken = True
            return False
        self._pending = self._pending[size:]
        self._throttle.passed(size)
        self._meter(size)
        return True


def _prepare(end: int) -> None:
    os.set_blocking(end, False)
    # Fewer turns for large streams. The kernel may refuse where a user has many pipes, and all works without.
    with contextlib.suppress(OSError):
        fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, _BUFFER)
