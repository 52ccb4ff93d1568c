"""The instants at which a period is due in a time zone. Pure: the clock and the zone are arguments.

Where clocks are put forward a time that does not exist is the one that is as long after the hour before it; where they
are put back the first of two equal times counts (RFC 5545, section 3.3.5). What is due in every hour follows real
hours: it is left out with the hour that is left out, and comes again with the hour that comes again.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache

from ec2zfs.model.period import Period

FURTHEST = 366 * 9
"""Days to look ahead and back at most: the 29th of February may be eight years away."""
_DAY = timedelta(days=1)


def last_due(period: Period, zone: tzinfo, now: datetime) -> datetime | None:
    """The latest due time that is not after `now`, in UTC; None when there is none within `FURTHEST` days."""
    return next((due for due in _dues(period, zone, now.astimezone(zone).date() + _DAY, -1) if due <= now), None)


def next_due(period: Period, zone: tzinfo, now: datetime) -> datetime | None:
    """The earliest due time after `now`, in UTC; None when there is none within `FURTHEST` days."""
    return next((due for due in _dues(period, zone, now.astimezone(zone).date() - _DAY, 1) if due > now), None)


@lru_cache(maxsize=1024)
def due_on(period: Period, zone: tzinfo, day: date) -> tuple[datetime, ...]:
    """The due times that a day's clock names, in UTC and in their order."""
    return tuple(sorted(set(_instants(period, zone, day)))) if _falls_on(period, day) else ()


def _dues(period: Period, zone: tzinfo, day: date, direction: int) -> Iterator[datetime]:
    """The due times from a day on, forwards (1) or backwards (-1)."""
    found = _nearest(period, day, direction)
    while found:
        yield from due_on(period, zone, found)[::direction]
        found = _nearest(period, found + direction * _DAY, direction)


@lru_cache(maxsize=1024)
def _nearest(period: Period, day: date, direction: int) -> date | None:
    """The first day from `day` on, forwards or backwards, on which the period falls."""
    days = (day + step * direction * _DAY for step in range(FURTHEST))
    return next((each for each in days if _falls_on(period, each)), None)


def _falls_on(period: Period, day: date) -> bool:
    return (
        (period.weekdays is None or day.weekday() in period.weekdays)
        and (period.days is None or day.day in period.days)
        and (period.months is None or day.month in period.months)
    )


def _instants(period: Period, zone: tzinfo, day: date) -> Iterator[datetime]:
    every_hour = period.hours is None
    for hour in range(24) if period.hours is None else period.hours:
        for minute in period.minutes:
            for fold in (0, 1) if every_hour else (0,):
                wall = datetime.combine(day, time(hour, minute, fold=fold), zone)
                instant = wall.astimezone(UTC)
                exists = instant.astimezone(zone).replace(tzinfo=None) == wall.replace(tzinfo=None)
                if exists or not every_hour:
                    yield instant
