"""The rate is kept by all together, and can be changed while somebody waits."""

from __future__ import annotations

import threading
import time

from ec2zfs.transport.far.pace import Pace


def test_without_a_rate_nobody_waits() -> None:
    pace = Pace(None)
    assert all(pace.turn(1 << 40, 0) for _ in range(9))


def test_a_turn_is_paid_for_by_the_next() -> None:
    pace = Pace(1000)
    assert pace.turn(100, 0)
    assert not pace.turn(100, 0.01)
    begun = time.monotonic()
    assert pace.turn(100, 5)
    assert time.monotonic() - begun < 2


def test_what_was_not_sent_is_given_back() -> None:
    pace = Pace(1)
    assert pace.turn(1000, 0)
    pace.refund(1000)
    assert pace.turn(1000, 0)


def test_a_change_reaches_who_waits() -> None:
    pace = Pace(1)
    assert pace.turn(1000, 0)
    threading.Timer(0.05, pace.change, [None]).start()
    assert pace.turn(1000, 30)
