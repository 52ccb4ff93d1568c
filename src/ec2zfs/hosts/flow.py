"""Moves bytes from one pipe to the next without ever waiting: the caller polls. Holds one buffer and no more.

It notices which of its two sides goes away first, and closes neither by itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
from collections.abc import Callable

_BUFFER = 1 << 20


class Flow:
    """The way from a `source` (None: from `pending` alone) to a `sink`, both pipe ends of ours."""

    def __init__(self, source: int | None, sink: int, meter: Callable[[int], None], pending: bytes = b"") -> None:
        self._source = source
        self._sink = sink
        self._meter = meter
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
        """The descriptor and the poll event without which nothing moves; None when nothing will."""
        if self.broken or self.done:
            return None
        if self._pending or self._source is None:
            return self._sink, select.POLLOUT
        return self._source, select.POLLIN

    def step(self) -> bool:
        """Move what can be moved now; whether that was anything."""
        with contextlib.suppress(BlockingIOError):
            if not self._pending and self._source is not None:
                size = os.readv(self._source, [self._buffer])
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
        self._meter(size)
        return True


def _prepare(end: int) -> None:
    os.set_blocking(end, False)
    # Fewer turns for large streams. The kernel may refuse where a user has many pipes, and all works without.
    with contextlib.suppress(OSError):
        fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, _BUFFER)
