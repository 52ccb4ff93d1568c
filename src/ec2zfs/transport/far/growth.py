"""How many connections carry the stream: twice as many for as long as that makes it faster. Pure."""

from __future__ import annotations

_WORTH = 1.1
"""Twice the connections have to carry a tenth more, or they stay as many as they are."""
_TRIES = 3
"""So many measurements in a row without a gain end it: on a line that loses, one alone says little."""
_HOLDS = 0.8
"""Where all of them are below this part of the best, that was a beginning without losses: it is no measure any more."""
_REST = 10
"""After so many measurements without a gain it is tried again: lines change, and those that lose are measured badly."""


class Growth:
    """Starts with `first` and wants no more than `most`; the same number twice is a fixed one."""

    def __init__(self, first: int, most: int) -> None:
        self.wanted = min(first, most)
        self.most = most
        self._best = 0.0
        self._tries: list[float] = []
        self._rest = 0

    def measured(self, rate: float, *, line_is_slow: bool, losses_slow: bool = False) -> None:
        """Take in what all connections carried since the last time, in bytes a second.

        It counts only while it is the line that limits, and not one of the commands. `losses_slow`: segments were lost,
        and each loss made a connection slower; then more of them are tried without asking for a gain.
        """
        self._rest = max(0, self._rest - 1)
        if self._rest or not line_is_slow or self.wanted >= self.most:
            return
        if losses_slow or rate >= _WORTH * self._best:
            self.wanted = min(2 * self.wanted, self.most)
            self._best, self._tries = rate, []
        else:
            self._tries.append(rate)
        if len(self._tries) == _TRIES:
            self._rest = _REST if max(self._tries) >= _HOLDS * self._best else 0
            self._best, self._tries = 0.0, []
