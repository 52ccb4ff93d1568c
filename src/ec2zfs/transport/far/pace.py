"""A rate that is not exceeded, in bytes a second, and that can be changed while somebody waits for it."""

from __future__ import annotations

import threading
import time


class Pace:
    """`rate` None: no limit. Safe for several threads, which share the rate."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._changed = threading.Condition()
        self._due = time.monotonic()

    def change(self, rate: float | None) -> None:
        """Go by another rate from now on; what waited by the old one waits no longer."""
        with self._changed:
            self._rate = rate
            self._due = time.monotonic()
            self._changed.notify_all()

    def turn(self, size: int, seconds: float) -> bool:
        """Whether so many bytes may be sent, which then count as sent; waits for it, but no longer than that."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while (wait := self._due - time.monotonic()) > 0 and self._rate is not None:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(min(wait, left))
            if self._rate is not None:
                self._due = max(self._due, time.monotonic()) + size / self._rate
            return True

    def refund(self, size: int) -> None:
        """So many bytes of a turn were not sent."""
        with self._changed:
            if self._rate is not None:
                self._due -= size / self._rate
                self._changed.notify_all()
