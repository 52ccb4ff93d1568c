"""Watches the lines of all streams of a replication: shows them as one, and sums up what they were like.

It is told by one thread alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace

from ec2zfs.model.line import Bottleneck, Line, together


@dataclass(frozen=True)
class LineSummary:
    """What the lines of a replication were like. `flows`: the most connections at a time, of all streams.

    `bottlenecks`: for which part of the time (0 to 1) each was what held the streams up.
    """

    flows: int
    retransmitted: int
    bottlenecks: dict[str, float]

    def __str__(self) -> str:
        shares = sorted(self.bottlenecks.items(), key=lambda share: -share[1])
        words = ", ".join(f"{name} {share:.0%} of the time" for name, share in shares)
        return f"up to {self.flows} connections, {self.retransmitted} segments sent again, held up by: {words}"


@dataclass
class LineWatch:
    """`show` hears of all streams' lines as one, each time that one of them is measured."""

    show: Callable[[Line], None]
    _lines: dict[Hashable, Line] = field(default_factory=dict)
    _held_up: Counter[Bottleneck] = field(default_factory=Counter)
    _flows: int = 0
    _ended: int = 0

    def hear(self, stream: Hashable, line: Line | None) -> None:
        """A stream's line, measured about once a second; None when the stream has ended, in whatever way."""
        if line is None:
            ended = self._lines.pop(stream, None)
            self._ended += ended.retransmitted if ended else 0
            return
        self._lines[stream] = line
        self._held_up[line.bottleneck] += 1
        whole = together(self._lines.values())
        self._flows = max(self._flows, whole.flows)
        self.show(replace(whole, retransmitted=self._ended + whole.retransmitted))

    @property
    def summary(self) -> LineSummary | None:
        """None when no line was ever measured."""
        total = self._held_up.total()
        if not total:
            return None
        under_way = sum(line.retransmitted for line in self._lines.values())
        shares = {str(each): round(count / total, 3) for each, count in self._held_up.items()}
        return LineSummary(self._flows, self._ended + under_way, shares)
