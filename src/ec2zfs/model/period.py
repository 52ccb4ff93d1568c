"""When snapshots are due: a rhythm by the clock on the wall, with a name. Pure values; `plan/calendar.py` reckons."""

from __future__ import annotations

from dataclasses import dataclass

NAME = r"[a-z][a-z0-9-]*"
"""What a period may be called: it ends the names of snapshots, so it has no underscore."""


@dataclass(frozen=True)
class Period:
    """Due at these minutes of these hours, on days that fit all the rest; None stands for every one.

    `weekdays` count from 0, Monday; `days` are days of the month. Minutes and hours are those of a time zone's clock.
    """

    name: str
    minutes: tuple[int, ...] = (0,)
    hours: tuple[int, ...] | None = None
    weekdays: tuple[int, ...] | None = None
    days: tuple[int, ...] | None = None
    months: tuple[int, ...] | None = None


STANDARD = (
    Period("hourly"),
    Period("mid-day", hours=(12,)),
    Period("daily", hours=(0,)),
    Period("weekly", hours=(0,), weekdays=(0,)),
    Period("monthly", hours=(0,), days=(1,)),
    Period("biannual", hours=(0,), days=(1,), months=(1, 7)),
    Period("annual", hours=(0,), days=(1,), months=(1,)),
)
"""The periods that are there without being configured, the most frequent first."""
