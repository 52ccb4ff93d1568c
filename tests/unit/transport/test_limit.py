"""The rate that all streams share, as the clock goes on."""

from __future__ import annotations

from datetime import UTC, datetime, time

from ec2zfs.model.rate import RateRule, RateWindow
from ec2zfs.transport.limit import Limit

MB = 1e6


def test_streams_under_way_share_the_rate_equally() -> None:
    limit = Limit(RateRule(6 * MB))
    with limit.stream() as one:
        assert one() == 6 * MB
        with limit.stream() as two, limit.stream() as three:
            assert (one(), two(), three()) == (2 * MB, 2 * MB, 2 * MB)
        assert one() == 6 * MB


def test_the_rate_follows_the_clock_also_when_that_is_set_back() -> None:
    now = datetime(2026, 11, 27, 7, 59, 59, tzinfo=UTC)
    limit = Limit(RateRule(None, (RateWindow(time(8), time(18), 5 * MB),)), lambda: now)
    with limit.stream() as rate:
        assert rate() is None
        now = now.replace(hour=8)
        assert rate() == 5 * MB
        now = now.replace(hour=18)
        assert rate() is None
        now = now.replace(hour=12)
        assert rate() == 5 * MB
