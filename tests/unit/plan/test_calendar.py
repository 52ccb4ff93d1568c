"""When periods are due, also where clocks are put forward and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ec2zfs.model.period import STANDARD, Period
from ec2zfs.plan.calendar import last_due, next_due

BERLIN = ZoneInfo("Europe/Berlin")
HALF_AN_HOUR = ZoneInfo("Australia/Lord_Howe")
PERIODS = {period.name: period for period in STANDARD}
AT_HALF_PAST_TWO = Period("nightly", minutes=(30,), hours=(2,))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def due(period: Period, zone: ZoneInfo, begin: str, end: str) -> list[str]:
    """All due times in a span, by the zone's clock."""
    found, now = [], at(begin)
    while (now := next_due(period, zone, now) or at(end)) < at(end):
        found.append(f"{now.astimezone(zone):%Y-%m-%d %H:%M %z}")
    return found


@pytest.mark.parametrize(
    ("name", "last", "following"),
    [
        ("hourly", "2026-11-25T10:00+01:00", "2026-11-25T11:00+01:00"),
        ("mid-day", "2026-11-24T12:00+01:00", "2026-11-25T12:00+01:00"),
        ("daily", "2026-11-25T00:00+01:00", "2026-11-26T00:00+01:00"),
        ("weekly", "2026-11-23T00:00+01:00", "2026-11-30T00:00+01:00"),
        ("monthly", "2026-11-01T00:00+01:00", "2026-12-01T00:00+01:00"),
        ("biannual", "2026-07-01T00:00+02:00", "2027-01-01T00:00+01:00"),
        ("annual", "2026-01-01T00:00+01:00", "2027-01-01T00:00+01:00"),
    ],
)
def test_the_standard_periods(name: str, last: str, following: str) -> None:
    now = at("2026-11-25T10:23+01:00")
    assert last_due(PERIODS[name], BERLIN, now) == at(last)
    assert next_due(PERIODS[name], BERLIN, now) == at(following)


def test_what_is_due_now_is_due() -> None:
    now = at("2026-11-25T00:00+01:00")
    assert last_due(PERIODS["daily"], BERLIN, now) == now
    assert next_due(PERIODS["daily"], BERLIN, now) == now + timedelta(days=1)


def test_clocks_put_forward_leave_out_an_hour_and_no_day() -> None:
    spring = ("2026-03-29T00:30+01:00", "2026-03-29T05:30+02:00")
    assert due(PERIODS["hourly"], BERLIN, *spring) == [
        "2026-03-29 01:00 +0100",
        "2026-03-29 03:00 +0200",
        "2026-03-29 04:00 +0200",
        "2026-03-29 05:00 +0200",
    ]
    assert due(AT_HALF_PAST_TWO, BERLIN, *spring) == ["2026-03-29 03:30 +0200"]


def test_clocks_put_back_have_an_hour_more_and_no_day() -> None:
    autumn = ("2026-10-25T01:30+02:00", "2026-10-25T04:30+01:00")
    assert due(PERIODS["hourly"], BERLIN, *autumn) == [
        "2026-10-25 02:00 +0200",
        "2026-10-25 02:00 +0100",
        "2026-10-25 03:00 +0100",
        "2026-10-25 04:00 +0100",
    ]
    assert due(AT_HALF_PAST_TWO, BERLIN, *autumn) == ["2026-10-25 02:30 +0200"]


def test_a_period_of_ones_own() -> None:
    payday = Period("payday", hours=(6, 18), days=(15, 31), months=(1, 2))
    assert due(payday, ZoneInfo("UTC"), "2026-01-01T00:00+00:00", "2027-01-01T00:00+00:00") == [
        "2026-01-15 06:00 +0000",
        "2026-01-15 18:00 +0000",
        "2026-01-31 06:00 +0000",
        "2026-01-31 18:00 +0000",
        "2026-02-15 06:00 +0000",
        "2026-02-15 18:00 +0000",
    ]


def test_a_day_that_never_comes() -> None:
    never = Period("never", hours=(0,), days=(31,), months=(2,))
    assert next_due(never, BERLIN, at("2026-01-01T00:00+00:00")) is None
    assert last_due(never, BERLIN, at("2026-01-01T00:00+00:00")) is None


@pytest.mark.parametrize("zone", [BERLIN, HALF_AN_HOUR, ZoneInfo("UTC"), ZoneInfo("America/New_York")])
def test_a_year_has_as_many_as_it_should(zone: ZoneInfo) -> None:
    begin, end = datetime(2025, 12, 31, 23, 59, tzinfo=zone), datetime(2026, 12, 31, 23, 59, tzinfo=zone)
    span = (begin.isoformat(), end.isoformat())
    counted = {name: len(due(period, zone, *span)) for name, period in PERIODS.items() if name != "hourly"}
    assert counted == {"mid-day": 365, "daily": 365, "weekly": 52, "monthly": 12, "biannual": 2, "annual": 1}


@given(
    st.sampled_from([*STANDARD, AT_HALF_PAST_TWO, Period("quarters", minutes=(0, 15, 30, 45))]),
    st.sampled_from(["Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns", "Asia/Kathmandu", "UTC"]),
    st.integers(1_577_836_800, 2_208_988_800),
)
def test_before_and_after_meet(period: Period, name: str, second: int) -> None:
    zone, now = ZoneInfo(name), datetime.fromtimestamp(second, UTC)
    last, following = last_due(period, zone, now), next_due(period, zone, now)
    assert last is not None
    assert following is not None
    assert last <= now < following
    assert next_due(period, zone, last) == following
    assert last_due(period, zone, following) == following
    assert last_due(period, zone, following - timedelta(microseconds=1)) == last
