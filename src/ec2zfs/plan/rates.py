"""Which rate holds at a moment, and when that changes next. Pure: the clock is an argument.

A window goes by what the clock on the wall shows. So where clocks are put back it may hold for an hour more, and an
hour that is left out is left out of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from ec2zfs.model.rate import RateRule, RateWindow

_DAY = timedelta(days=1)
_FURTHEST = 9
"""Days to look ahead: a week, and a day on either side for clocks that are changed."""
_MOMENT = timedelta(microseconds=1)


def rate_at(rule: RateRule, now: datetime) -> float | None:
    """The rate in bytes a second, or None where there is no limit."""
    wall = now.astimezone(rule.zone)
    holding = [window.rate for window in rule.windows if _holds(window, wall)]
    return holding[-1] if holding else rule.rate


def next_change(rule: RateRule, now: datetime) -> datetime | None:
    """The first moment after `now` at which another rate holds, in UTC; None when that does not come within a week."""
    if not rule.windows:
        return None
    before = rate_at(rule, now)
    moments = sorted(moment for moment in set(_moments(rule, now)) if moment > now)
    return next((moment for moment in moments if rate_at(rule, moment) != before), None)


def _holds(window: RateWindow, wall: datetime) -> bool:
    clock, today = wall.time(), wall.weekday()
    if window.begin < window.end:
        return window.begin <= clock < window.end and _begins_on(window, today)
    if clock >= window.begin:
        return _begins_on(window, today)
    return clock < window.end and _begins_on(window, (today - 1) % 7)


def _begins_on(window: RateWindow, weekday: int) -> bool:
    return window.weekdays is None or weekday in window.weekdays


def _moments(rule: RateRule, now: datetime) -> Iterator[datetime]:
    """Every moment at which the rate could change: midnight, when windows begin and end, when clocks are changed."""
    today = now.astimezone(rule.zone).date() - _DAY
    for day in (today + count * _DAY for count in range(_FURTHEST + 1)):
        yield from _shown(rule.zone, day, time())
        for window in rule.windows:
            yield from _shown(rule.zone, day, window.begin)
            yield from _shown(rule.zone, day, window.end)
        yield from _changes_of_clocks(rule.zone, day)


def _shown(zone: tzinfo, day: date, clock: time) -> tuple[datetime, datetime]:
    """The moments, one or two that differ, at which a clock shows this; where it never does, some others."""
    return tuple(datetime.combine(day, clock.replace(fold=fold), zone).astimezone(UTC) for fold in (0, 1))  # type: ignore[return-value]


def _changes_of_clocks(zone: tzinfo, day: date) -> Iterator[datetime]:
    begin = datetime.combine(day, time(), UTC)
    for hour in range(24):
        early = begin + timedelta(hours=hour)
        late = early + timedelta(hours=1)
        if _offset(zone, early) == _offset(zone, late):
            continue
        while late - early > _MOMENT:
            middle = early + (late - early) / 2
            early, late = (middle, late) if _offset(zone, middle) == _offset(zone, early) else (early, middle)
        yield late


def _offset(zone: tzinfo, moment: datetime) -> timedelta | None:
    return moment.astimezone(zone).utcoffset()
