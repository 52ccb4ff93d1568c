"""What becomes of each snapshot: the rule that keeps it, and the time at which the rule lets it go. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import lru_cache

from ec2zfs.model.period import Period
from ec2zfs.model.policy import Keep, Schedule
from ec2zfs.model.snapshot import Dataset
from ec2zfs.model.snapshot_name import named_time, snapshot_parts
from ec2zfs.plan.calendar import next_due
from ec2zfs.plan.pruning import TierRules, verdicts
from ec2zfs.plan.retention import Verdict


@dataclass(frozen=True)
class Fate:
    """A verdict, and until when it holds if every snapshot is taken in time; None: for ever, or already over."""

    verdict: Verdict
    until: datetime | None = None


def fates(dataset: Dataset, rules: TierRules, schedule: Schedule, now: datetime) -> Iterator[Fate]:
    """What becomes of each snapshot of a dataset, oldest first."""
    keeps, periods = rules.keeps(dataset.name) or {}, {period.name: period for period in schedule.periods}
    for verdict in verdicts(dataset, rules, now):
        parts = snapshot_parts(verdict.snapshot.name)
        keep = keeps.get(parts.period) if parts else None
        if parts is None or keep is None or not verdict.kept or parts.period not in periods:
            yield Fate(verdict)
            continue
        taken, period = named_time(parts), periods[parts.period]
        yield Fate(verdict, _until(taken, keep, verdict.rank, (period, schedule.zone, now)))


def _until(taken: datetime, keep: Keep, rank: int, clock: tuple[Period, tzinfo, datetime]) -> datetime | None:
    """When so many newer ones are due that the number is full, or the age is reached; whichever comes first. The newest
    of a period stays until the next."""
    full = _due_after(*clock, max(1, keep.count - rank + 1))
    old = taken + keep.age if keep.age else None
    following = _due_after(*clock, 1)
    ends = [end for end in (full, old) if end]
    if not ends:
        return None
    return max(min(ends), following) if rank == 1 and following else min(ends)


@lru_cache(maxsize=4096)
def _due_after(period: Period, zone: tzinfo, now: datetime, times: int) -> datetime | None:
    """The due time that is so many after now."""
    before = now if times == 1 else _due_after(period, zone, now, times - 1)
    return before and next_due(period, zone, before)
