"""Blocks that an interrupt does not break: what a block makes is known to us before the interrupt is raised.

A process that was started and not yet written down would never be ended. Sheltered from is what comes by `interrupt`,
the first signal to a command; the one after which all ends at once is raised here too.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _ThisThread(threading.local):
    depth = 0
    interrupted = False


_this_thread = _ThisThread()


def interrupt() -> None:
    """Raise KeyboardInterrupt, in a sheltered block at its end. For handlers of signals, so in the main thread."""
    if not _this_thread.depth:
        raise KeyboardInterrupt
    _this_thread.interrupted = True


@contextmanager
def sheltered() -> Iterator[None]:
    """A short block that comes to its end before an `interrupt` is raised."""
    _this_thread.depth += 1
    try:
        yield
    finally:
        _this_thread.depth -= 1
        if _this_thread.interrupted and not _this_thread.depth:
            _this_thread.interrupted = False
            raise KeyboardInterrupt
