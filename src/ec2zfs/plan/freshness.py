"""Whether the recovery points of each dataset are as new as its policy wants them. Pure: the clock is an argument.

The limits come from the policy itself. What was due once since the newest recovery point may still be on its way (a
daily run comes some time after midnight); missed twice is late, four times or never made is broken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from ec2zfs.model.policy import Keeps, Schedule, Tier
from ec2zfs.model.snapshot import Dataset
from ec2zfs.model.snapshot_name import named_time, snapshot_parts
from ec2zfs.plan.calendar import next_due
from ec2zfs.plan.cursors import cursors

LATE_AFTER, BROKEN_AFTER = 2, 4
"""Due times that have passed since the newest recovery point."""


class State(IntEnum):
    """How a tier of a dataset stands; the worst is the exit code of `ec2zfs status`."""

    FINE = 0
    LATE = 1
    BROKEN = 2

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Freshness:
    """A dataset in a tier: when its newest recovery point was taken, when the next is due, how it stands and why."""

    dataset: str
    tier: Tier
    newest: datetime | None
    next_due: datetime | None
    state: State
    reason: str


def site_freshness(dataset: Dataset, schedule: Schedule, now: datetime) -> Freshness:
    """How the snapshots at the site stand, each period by itself."""
    keeps = _keeps(dataset, schedule, Tier.SITE)
    newest = newest_of_periods(dataset)
    missed = {period: _missed(period, newest.get(period), schedule, now) for period in keeps}
    worst = max(missed, key=lambda period: missed[period], default="")
    point = max(newest.values(), default=None)
    return _judged(dataset, Tier.SITE, point, (missed.get(worst, 0), worst), _next_due(keeps, schedule, now))


def cloud_freshness(
    dataset: Dataset, pool: str, schedule: Schedule, now: datetime, made: Mapping[str, datetime]
) -> Freshness:
    """How the copy stands, judged from the site's cursor, which marks the newest snapshot that the pool has.

    `made` tells when the snapshots of cursors were taken that are gone themselves, by the full names of the bookmarks.
    """
    return _copy_freshness(dataset, Tier.CLOUD, copied_at(dataset, pool, made), schedule, now)


def staging_freshness(dataset: Dataset, staged: Dataset | None, schedule: Schedule, now: datetime) -> Freshness:
    """How what is staged of a dataset stands; None: nothing is."""
    point = max(newest_of_periods(staged).values(), default=None) if staged else None
    return _copy_freshness(dataset, Tier.STAGING, point, schedule, now)


def _copy_freshness(
    dataset: Dataset, tier: Tier, point: datetime | None, schedule: Schedule, now: datetime
) -> Freshness:
    """How a copy stands whose newest recovery point is this; where it has none, since the oldest snapshot there is."""
    keeps = _keeps(dataset, schedule, tier)
    since = point or min(newest_of_periods(dataset, oldest=True).values(), default=None)
    missed = {period: _missed(period, since, schedule, now) for period in keeps}
    worst = max(missed, key=lambda period: missed[period], default="")
    return _judged(dataset, tier, point, (missed.get(worst, 0), worst), _next_due(keeps, schedule, now))


def copied_at(dataset: Dataset, pool: str, made: Mapping[str, datetime]) -> datetime | None:
    """When the newest snapshot was taken that the pool has; None when it has none, or nobody knows."""
    marked = cursors(dataset, pool)
    if not marked:
        return None
    names = {snapshot.guid: snapshot_parts(snapshot.name) for snapshot in dataset.snapshots}
    parts = names.get(marked[-1].guid)
    return named_time(parts) if parts else made.get(str(marked[-1]))


def newest_of_periods(dataset: Dataset, *, oldest: bool = False) -> dict[str, datetime]:
    """When the newest snapshot of each period was taken, or the oldest."""
    found: dict[str, datetime] = {}
    for snapshot in reversed(dataset.snapshots) if oldest else dataset.snapshots:
        if parts := snapshot_parts(snapshot.name):
            found[parts.period] = named_time(parts)
    return found


def _keeps(dataset: Dataset, schedule: Schedule, tier: Tier) -> Keeps:
    policy = schedule.policy_of(dataset.name)
    return {name: keep for name, keep in policy.of(tier).items() if keep.count} if policy else {}


def _missed(name: str, since: datetime | None, schedule: Schedule, now: datetime) -> int:
    """How often the period was due since then, up to `BROKEN_AFTER`; that too where there is nothing at all."""
    period = next((each for each in schedule.periods if each.name == name), None)
    if period is None or since is None:
        return BROKEN_AFTER
    count, due = 0, next_due(period, schedule.zone, since)
    while due and due <= now and count < BROKEN_AFTER:
        count, due = count + 1, next_due(period, schedule.zone, due)
    return count


def _next_due(keeps: Keeps, schedule: Schedule, now: datetime) -> datetime | None:
    dues = (next_due(period, schedule.zone, now) for period in schedule.periods if period.name in keeps)
    return min(filter(None, dues), default=None)


def _judged(
    dataset: Dataset, tier: Tier, point: datetime | None, worst: tuple[int, str], following: datetime | None
) -> Freshness:
    missed, period = worst
    if not period:
        return Freshness(dataset.name, tier, point, None, State.FINE, "the policy keeps nothing here")
    state = State.BROKEN if missed >= BROKEN_AFTER else State.LATE if missed >= LATE_AFTER else State.FINE
    if point is None:
        reason = "there is none yet"
    elif missed >= BROKEN_AFTER:
        reason = f"{period} was missed {missed} times or more"
    else:
        reason = f"{period} was missed {missed} times" if state else ""
    return Freshness(dataset.name, tier, point, following, state, reason)
