"""Ends what other threads wait for: a signal reaches the main thread alone, and this is how it is passed on to them.

In a thread that obeys a `Halt`, `Halted` is raised wherever it waits for a process or pauses, as Ctrl-C raises
KeyboardInterrupt in the main thread; so processes are ended on its way out as on any other. A thread that obeys none,
the main one first of all, notices nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

TICK_SECONDS = 0.2
"""How often a wait looks up."""


class Halted(BaseException):
    """The work of this thread is to end now. Like KeyboardInterrupt, no `except Exception` may stop it."""


class Halt:
    """An order to end, which is given once, to all threads that obey it."""

    def __init__(self) -> None:
        self._ordered = threading.Event()

    def order(self) -> None:
        """Have all of them end now."""
        self._ordered.set()

    def obey(self) -> None:
        """Have the calling thread obey from now on."""
        _this_thread.halt = self

    def comes_within(self, seconds: float) -> bool:
        """Wait for the order, but no longer than that; whether it was given."""
        return self._ordered.wait(seconds)


class _ThisThread(threading.local):
    halt: Halt | None = None


_this_thread = _ThisThread()


def obeyed() -> bool:
    """Whether waits of this thread must look up from time to time."""
    return _this_thread.halt is not None


def heed() -> None:
    """Raise `Halted` when this thread is to end."""
    if obeyed():
        pause(0)


def pause(seconds: float) -> None:
    """Sleep, or raise `Halted` as soon as this thread is to end."""
    halt = _this_thread.halt
    if halt is None:
        time.sleep(seconds)
    elif halt.comes_within(seconds):
        raise Halted


@contextmanager
def undisturbed() -> Iterator[None]:
    """A block that ends processes: it comes to its own end; what waits after it is halted."""
    halt, _this_thread.halt = _this_thread.halt, None
    try:
        yield
    finally:
        _this_thread.halt = halt
