"""Which rate holds when: examples by hand, and any rules against a clock that is read minute by minute."""

from __future__ import annotations

import operator
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from tests import sweep

from ec2zfs.model.rate import RateRule, RateWindow, parse_rate
from ec2zfs.plan.rates import next_change, rate_at

MB = 1e6
BERLIN = ZoneInfo("Europe/Berlin")
OFFICE = RateWindow(time(8), time(18), 5 * MB, frozenset(range(5)))
NIGHT = RateWindow(time(22), time(6), None)


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("now", "rate", "changes"),
    [
        ("2026-11-27T07:59:59", 20 * MB, "2026-11-27T08:00"),
        ("2026-11-27T08:00:00", 5 * MB, "2026-11-27T18:00"),
        ("2026-11-27T17:59:59", 5 * MB, "2026-11-27T18:00"),
        ("2026-11-27T18:00:00", 20 * MB, "2026-11-27T22:00"),
        ("2026-11-27T23:30:00", None, "2026-11-28T06:00"),
        ("2026-11-28T05:00:00", None, "2026-11-28T06:00"),
        ("2026-11-28T12:00:00", 20 * MB, "2026-11-28T22:00"),
    ],
)
def test_office_hours_and_nights(now: str, rate: float | None, changes: str) -> None:
    rule = RateRule(20 * MB, (OFFICE, NIGHT), BERLIN)
    assert rate_at(rule, berlin(now)) == rate
    assert next_change(rule, berlin(now)) == berlin(changes)


def test_the_later_of_two_windows_prevails() -> None:
    whole_day = RateWindow(time(), time(), MB)
    assert rate_at(RateRule(None, (whole_day, OFFICE), BERLIN), berlin("2026-11-27T12:00")) == 5 * MB
    assert rate_at(RateRule(None, (OFFICE, whole_day), BERLIN), berlin("2026-11-27T12:00")) == MB


def test_a_window_across_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    rule = RateRule(MB, (RateWindow(time(22), time(6), None, frozenset({4})),), BERLIN)
    assert rate_at(rule, berlin("2026-11-27T23:00")) is None
    assert rate_at(rule, berlin("2026-11-28T05:00")) is None
    assert rate_at(rule, berlin("2026-11-27T05:00")) == MB
    assert rate_at(rule, berlin("2026-11-28T23:00")) == MB


def test_without_windows_nothing_ever_changes() -> None:
    rule = RateRule(MB)
    assert (rate_at(rule, berlin("2026-11-27T12:00")), next_change(rule, berlin("2026-11-27T12:00"))) == (MB, None)
    assert next_change(RateRule(MB, (RateWindow(time(8), time(9), MB),)), berlin("2026-11-27T12:00")) is None


def test_a_window_in_the_hour_that_is_left_out_is_left_out() -> None:
    rule = RateRule(MB, (RateWindow(time(2), time(3), None),), BERLIN)
    before = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
    assert next_change(rule, before) == berlin("2026-03-30T02:00")


def test_a_window_that_begins_in_the_hour_that_is_left_out_begins_after_it() -> None:
    rule = RateRule(MB, (RateWindow(time(2, 30), time(5), None),), BERLIN)
    assert next_change(rule, datetime(2026, 3, 29, 0, 30, tzinfo=UTC)) == datetime(2026, 3, 29, 1, tzinfo=UTC)


def test_an_hour_that_comes_again_is_in_the_window_again() -> None:
    rule = RateRule(MB, (RateWindow(time(2), time(2, 30), None),), BERLIN)
    changes = [datetime(2026, 10, 24, 23, tzinfo=UTC)]
    while len(changes) < 5:
        found = next_change(rule, changes[-1])
        assert found
        changes.append(found)
    assert [change.strftime("%H:%M") for change in changes[1:]] == ["00:00", "00:30", "01:00", "01:30"]


clocks = some.builds(time, some.integers(0, 23), some.sampled_from([0, 15, 30]))
days = some.none() | some.frozensets(some.integers(0, 6))
windows = some.builds(RateWindow, clocks, clocks, some.sampled_from([None, MB, 2 * MB]), days)
zones = some.sampled_from([UTC, BERLIN, ZoneInfo("Australia/Lord_Howe"), ZoneInfo("America/St_Johns")])
rules = some.builds(RateRule, some.sampled_from([None, MB]), some.lists(windows, max_size=3).map(tuple), zones)
later = some.integers(0, 13 * 24 * 60).map(lambda minutes: timedelta(minutes=minutes))
around = some.sampled_from([datetime(2026, 3, 25, tzinfo=UTC), datetime(2026, 10, 22, tzinfo=UTC)])
moments = some.builds(operator.add, around, later)


def by_hand(rule: RateRule, now: datetime) -> float | None:
    """The rate, by laying every window of the days around out on the clock's face."""
    face = now.astimezone(rule.zone).replace(tzinfo=None, fold=0)
    rate = rule.rate
    for window in rule.windows:
        for back in (0, 1):
            day = (face - timedelta(days=back)).date()
            begin = datetime.combine(day, window.begin)
            end = datetime.combine(day, window.end)
            end += timedelta(days=1) if end <= begin else timedelta()
            if begin <= face < end and (window.weekdays is None or day.weekday() in window.weekdays):
                rate = window.rate
    return rate


@settings(max_examples=sweep.examples(25), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rules, moments)
def test_any_rule_is_as_a_clock_that_is_read_every_quarter_of_an_hour(rule: RateRule, now: datetime) -> None:
    before = rate_at(rule, now)
    assert before == by_hand(rule, now)
    change = next_change(rule, now)
    assert change is None or (change > now and rate_at(rule, change) != before)
    tick = now.replace(minute=now.minute // 15 * 15, second=0, microsecond=0)
    end = min(change or now + timedelta(days=7), now + timedelta(days=7))
    while (tick := tick + timedelta(minutes=15)) < end:
        assert by_hand(rule, tick) == before
    assert change is None or (change.minute % 15, change.second, change.microsecond) == (0, 0, 0)


@pytest.mark.parametrize(
    ("text", "rate"),
    [("20 MB/s", 20e6), ("20MB/s", 20e6), ("1.5 MiB/s", 1.5 * (1 << 20)), ("100 Mbit/s", 12.5e6), ("300 kB/s", 3e5)],
)
def test_rates_in_words(text: str, rate: float) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    "text", ["", "fast", "20", "20 MB", "20 mb/s", "-1 MB/s", "20 ki B/s", "99 kB/s", "0 MB/s", "5 TB/s"]
)
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        parse_rate(text)
