"""How many connections carry the stream: twice as many for as long as that makes it faster. Pure."""

from __future__ import annotations

_WORTH = 1.1
"""Twice the connections have to carry a tenth more, or they stay as many as they are."""
_REST = 100
"""After so many measurements without a gain it is tried again: lines change in the course of hours."""


class Growth:
    """Starts with `first` and wants no more than `most`; the same number twice is a fixed one."""

    def __init__(self, first: int, most: int) -> None:
        self.wanted = min(first, most)
        self._most = most
        self._best = 0.0
        self._rest = 0

    def measured(self, rate: float, *, line_is_slow: bool) -> None:
        """Take in what all connections carried since the last time, in bytes a second.

        It counts only while it is the line that limits, and not one of the commands.
        """
        self._rest = max(0, self._rest - 1)
        if self._rest or not line_is_slow or self.wanted >= self._most:
            return
        if rate >= _WORTH * self._best:
            self.wanted = min(2 * self.wanted, self._most)
            self._best = rate
        else:
            self._rest = _REST
            self._best = 0.0
