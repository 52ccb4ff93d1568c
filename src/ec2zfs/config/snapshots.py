"""The sections on snapshots: when they are due, which are taken of what, and how many are kept."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import Field

from ec2zfs.config.described import Section, key
from ec2zfs.config.values import Flag, KeepTable, Numbers, Pattern, PeriodName, Text, Zone, numbers
from ec2zfs.model.period import Period
from ec2zfs.model.policy import PolicyRule, Tier

BY_THE_CLOCK = "every one"


class SnapshotsSection(Section):
    """When snapshots are due, and what runs around them at the site (`ec2zfs snapshot`, and each daily run)."""

    time_zone: Zone = key("Time zone by whose clock periods are due", ZoneInfo("UTC"), example="Europe/Berlin")
    before: tuple[Text, ...] | None = key(
        "Program and arguments that run before snapshots are taken, to freeze a database; none are taken if it fails",
        None,
        example=("/usr/local/sbin/freeze",),
    )
    after: tuple[Text, ...] | None = key(
        "Program and arguments that run after that in any case, to thaw it", None, example=("/usr/local/sbin/thaw",)
    )
    hook_seconds: Annotated[int, Field(strict=True, ge=1, le=3600)] = key(
        "How long each of these programs may take before it is ended", 60, unit="seconds"
    )


class PeriodSection(Section):
    """A period of your own, or other times for one of the standard ones: hourly, mid-day (12:00), daily (0:00), weekly
    (Monday), monthly (the 1st), biannual (1 January, 1 July), annual (1 January). Write one [[period]] for each. It is
    due when all that it says fits."""

    name: PeriodName = key("Name of the period; it ends the names of its snapshots", example="quarter-hourly")
    minutes: Annotated[Numbers, numbers(0, 59)] = key("Minutes of the hour", (0,), example=(0, 15, 30, 45))
    hours: Annotated[Numbers | None, numbers(0, 23)] = key(
        "Hours of the day", None, example=(8, 20), words=BY_THE_CLOCK
    )
    weekdays: Annotated[Numbers | None, numbers(1, 7)] = key(
        "Days of the week, from 1 (Monday) to 7 (Sunday)", None, example=(1, 3, 5), words=BY_THE_CLOCK
    )
    days: Annotated[Numbers | None, numbers(1, 31)] = key(
        "Days of the month", None, example=(1, 15), words=BY_THE_CLOCK
    )
    months: Annotated[Numbers | None, numbers(1, 12)] = key(
        "Months of the year", None, example=(1, 7), words=BY_THE_CLOCK
    )

    @property
    def period(self) -> Period:
        """The period as it is reckoned with."""
        weekdays = self.weekdays and tuple(day - 1 for day in self.weekdays)
        return Period(self.name, self.minutes, self.hours, weekdays, self.days, self.months)


KEPT = "How many snapshots of each period are kept {}: a number, or a number and the most days"
INHERITED = "as the policies before, or the standard policy"


class PolicySection(Section):
    """Which snapshots are taken of some datasets and all below them, and how many are kept. Write one [[policy]] for
    each; later ones prevail. A snapshot is taken of each period that is kept anywhere. The standard policy keeps 48
    hourly and 14 mid-day ones at the site, and everywhere 30 daily, 8 weekly, 12 monthly, 4 biannual and 10 annual."""

    datasets: tuple[Pattern, ...] = key(
        "Names of the datasets; * and ? stand for text within a name, ** for any text",
        example=("tank/home", "tank/vm-*"),
    )
    exclude: Flag = key("Whether no snapshots are taken of them, and none replicated", False)
    site: KeepTable | None = key(KEPT.format("at the site"), None, example={"hourly": 24, "daily": 30}, words=INHERITED)
    staging: KeepTable | None = key(
        KEPT.format("in the staging pool"), None, example={"daily": {"keep": 30, "days": 60}}, words=INHERITED
    )
    cloud: KeepTable | None = key(
        KEPT.format("in the cloud pool"), None, example={"daily": 30, "monthly": 24}, words=INHERITED
    )

    @property
    def rule(self) -> PolicyRule:
        """The policy as it is reckoned with."""
        told = {Tier.SITE: self.site, Tier.STAGING: self.staging, Tier.CLOUD: self.cloud}
        return PolicyRule(
            self.datasets, {tier: keeps for tier, keeps in told.items() if keeps is not None}, self.exclude
        )
