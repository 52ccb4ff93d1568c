"""The lines of several streams, shown as one and summed up."""

from __future__ import annotations

from ec2zfs.execute.line_watch import LineSummary, LineWatch
from ec2zfs.model.line import Line

FULL = Line(flows=4, retransmitted=5, sender_buffer=1.0, receiver_buffer=0.0)
IDLE = Line(flows=8, retransmitted=1, sender_buffer=0.0, receiver_buffer=0.0)


def test_nothing_was_measured() -> None:
    watch = LineWatch(lambda _: None)
    watch.hear("home", None)
    assert watch.summary is None


def test_streams_side_by_side_are_shown_as_one_and_what_ended_still_counts() -> None:
    shown: list[Line] = []
    watch = LineWatch(shown.append)
    watch.hear("home", FULL)
    watch.hear("mail", IDLE)
    watch.hear("home", None)
    watch.hear("mail", IDLE)
    assert [(line.flows, line.retransmitted, line.sender_buffer) for line in shown] == [
        (4, 5, 1.0),
        (12, 6, 0.5),
        (8, 6, 0.0),
    ]
    summary = watch.summary
    assert summary == LineSummary(flows=12, retransmitted=6, bottlenecks={"line": 0.333, "source": 0.667})
    words = "held up by: source 67% of the time, line 33% of the time"
    assert str(summary) == f"up to 12 connections, 6 segments sent again, {words}"
