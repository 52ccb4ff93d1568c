"""A rate that is not exceeded, for a loop that polls and must not wait. It may change at any time."""

from __future__ import annotations

import time
from collections.abc import Callable

Rate = Callable[[], float | None]
"""Bytes a second that may pass now; None: no limit."""

_TURN_SECONDS = 0.1
_LEAST_TURN = 4096


def unlimited() -> float | None:
    """No limit."""
    return None


class Throttle:
    """Counts what passes against `rate`. A pause is not made up for."""

    def __init__(self, rate: Rate, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._seen = clock()
        self._debt = 0.0

    def wait(self) -> float:
        """Seconds for which nothing may pass, 0 if something may; as the rate is now."""
        rate, now = self._rate(), self._clock()
        if rate is None:
            self._debt = 0.0
        else:
            self._debt = max(0.0, self._debt - (now - self._seen) * rate)
        self._seen = now
        return self._debt / rate if rate else 0.0

    def turn(self, most: int) -> int:
        """How many bytes may pass in one go, at most `most`: as many as take a tenth of a second."""
        rate = self._rate()
        return most if rate is None else max(_LEAST_TURN, min(most, int(rate * _TURN_SECONDS)))

    def passed(self, size: int) -> None:
        """So many bytes have passed."""
        self._debt += size
