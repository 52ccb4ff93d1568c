"""Which snapshots of which datasets are due now. Pure: the clock and the zone are arguments.

A period is due when it has come since the newest snapshot of it. However often it has come since, it is caught up once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from ec2zfs.model.period import Period
from ec2zfs.model.policy import Policy
from ec2zfs.model.snapshot import Dataset
from ec2zfs.model.snapshot_name import snapshot_name, snapshot_parts, sortable
from ec2zfs.plan.calendar import last_due


@dataclass(frozen=True)
class TakeSnapshot:
    """A snapshot of one name of many datasets of a pool, all in one transaction group."""

    pool: str
    name: str
    period: str
    datasets: tuple[str, ...]

    def __str__(self) -> str:
        return f"take {self.name} of {len(self.datasets)} datasets of {self.pool}"


def plan_snapshots(
    datasets: Sequence[Dataset], policies: Mapping[str, Policy], periods: Sequence[Period], zone: tzinfo, now: datetime
) -> tuple[TakeSnapshot, ...]:
    """What is due, one action for each pool and period. `policies` are by the names of datasets; who has none is left
    out, and so is a dataset that has a snapshot of that very name."""
    dues = {period.name: sortable(due) for period in periods if (due := last_due(period, zone, now))}
    batches: dict[tuple[str, str], list[str]] = {}
    for dataset in datasets:
        if (policy := policies.get(dataset.name)) is None:
            continue
        newest = newest_times(dataset, now)
        for period in policy.periods:
            if period in dues and newest.get(period, "") < dues[period]:
                pool = dataset.name.partition("/")[0]
                batches.setdefault((pool, period), []).append(dataset.name)
    return tuple(
        TakeSnapshot(pool, snapshot_name(now, period), period, tuple(names))
        for (pool, period), names in batches.items()
    )


def newest_times(dataset: Dataset, now: datetime) -> dict[str, str]:
    """When the newest snapshot of each period was taken, as sortable texts. What is from the future is left out."""
    newest: dict[str, str] = {}
    present = sortable(now)
    for parts in filter(None, (snapshot_parts(each.name) for each in dataset.snapshots)):
        if newest.get(parts.period, "") < parts.time <= present:
            newest[parts.period] = parts.time
    return newest
