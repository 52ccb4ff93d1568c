"""How the way of a stream stands: what its two ends have measured a moment ago, and which side holds it up."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

_FULL = 0.5
"""A buffer that is fuller than this waits for what comes after it."""


class Bottleneck(StrEnum):
    """What a stream waits for; the rate limit only where there is one."""

    SOURCE = "source"
    LINE = "line"
    LIMIT = "rate limit"
    RECEIVER = "receiver"


@dataclass(frozen=True)
class Line:
    """`flows`: connections that are up. `retransmitted`: TCP segments that were sent again, on all there ever were.

    The buffers of the sending and the receiving end, from 0 (empty) to 1 (full). `limit`: the rate in bytes a second
    that is not to be exceeded now, if there is one.
    """

    flows: int
    retransmitted: int
    sender_buffer: float
    receiver_buffer: float
    limit: float | None = None

    @property
    def bottleneck(self) -> Bottleneck:
        """The first full buffer, from the far side: what comes after it is too slow for what comes before."""
        if self.receiver_buffer >= _FULL:
            return Bottleneck.RECEIVER
        if self.sender_buffer >= _FULL:
            return Bottleneck.LINE if self.limit is None else Bottleneck.LIMIT
        return Bottleneck.SOURCE

    def __str__(self) -> str:
        buffers = f"buffers {self.sender_buffer:.0%} and {self.receiver_buffer:.0%} full"
        return f"{self.flows} connections, {self.retransmitted} segments sent again, {buffers}: {self.bottleneck}"


def together(lines: Collection[Line]) -> Line:
    """Several lines as one: connections, segments and limits added up, buffers on the average."""
    limits = [line.limit for line in lines if line.limit is not None]
    return Line(
        flows=sum(line.flows for line in lines),
        retransmitted=sum(line.retransmitted for line in lines),
        sender_buffer=_mean([line.sender_buffer for line in lines]),
        receiver_buffer=_mean([line.receiver_buffer for line in lines]),
        limit=sum(limits) if limits else None,
    )


def _mean(values: Collection[float]) -> float:
    return sum(values) / len(values) if values else 0.0
