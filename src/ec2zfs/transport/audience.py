"""Passes on what the two ends of a stream tell, to those who want to hear of bytes and of the line."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ec2zfs.model.line import Line
from ec2zfs.transport.end import End, Gauge


class Audience:
    """`meter` hears of bytes that the receiving command has taken, `watch` each time that the sending end measures."""

    def __init__(self, meter: Callable[[int], None], watch: Callable[[Line], None]) -> None:
        self._meter = meter
        self._watch = watch
        self._metered = 0
        self._measured: Gauge | None = None

    def tell(self, ends: Sequence[End], limit: float | None) -> None:
        """Pass on what is new; `ends`: the sending end, then the receiving one, once there are both.

        `limit`: the rate that holds now, in bytes a second, if there is one.
        """
        if len(ends) < 2:
            return
        sender, receiver = ends
        if receiver.bytes > self._metered:
            self._meter(receiver.bytes - self._metered)
            self._metered = receiver.bytes
        here, there = sender.gauge, receiver.gauge
        if sender.outcome is None and here is not None and there is not None and here is not self._measured:
            self._measured = here
            resent = here.retransmitted + there.retransmitted
            self._watch(Line(here.flows, resent, here.buffer, there.buffer, limit))
