"""How fast streams may be, and when: the kind of value, and the section for a time of the day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import time, tzinfo
from typing import Annotated

from pydantic import PlainValidator

from ec2zfs.config.described import Section, key
from ec2zfs.config.snapshots import BY_THE_CLOCK
from ec2zfs.config.values import Numbers, numbers, refusal
from ec2zfs.model.rate import RateRule, RateWindow, parse_rate

NO_LIMIT = "no limit"


def _rate(value: object) -> str:
    try:
        parse_rate(str(value))
    except ValueError as error:
        raise refusal(str(error)) from None
    return str(value)


def _clock(value: object) -> str:
    try:
        time.fromisoformat(str(value) if len(str(value)) == len("08:00") else "")
    except ValueError:
        raise refusal('must be a time of the day in quotes, such as "08:00"') from None
    return str(value)


Rate = Annotated[str, PlainValidator(_rate)]
ClockTime = Annotated[str, PlainValidator(_clock)]


class RateWindowSection(Section):
    """A time of the day in which another rate holds than [transport] says, by the clock of snapshots.time_zone. Write
    one [[rate_window]] for each; later ones prevail. A change takes effect in streams that are under way."""

    begin: ClockTime = key("Time at which it begins", alias="from", example="08:00")
    end: ClockTime = key(
        "Time at which it ends; on the next day, if that is not later than `from`", alias="to", example="18:00"
    )
    rate: Rate | None = key("The most that all streams together may send", None, example="5 MB/s", words=NO_LIMIT)
    weekdays: Annotated[Numbers | None, numbers(1, 7)] = key(
        "Days of the week on which it begins, from 1 (Monday) to 7 (Sunday)",
        None,
        example=(1, 2, 3, 4, 5),
        words=BY_THE_CLOCK,
    )

    @property
    def window(self) -> RateWindow:
        """The window as it is reckoned with."""
        weekdays = None if self.weekdays is None else frozenset(day - 1 for day in self.weekdays)
        return RateWindow(time.fromisoformat(self.begin), time.fromisoformat(self.end), _number(self.rate), weekdays)


def rate_rule(rate: str | None, windows: Sequence[RateWindowSection], zone: tzinfo) -> RateRule:
    """How fast streams may be, and when."""
    return RateRule(_number(rate), tuple(each.window for each in windows), zone)


def _number(rate: str | None) -> float | None:
    return None if rate is None else parse_rate(rate)
