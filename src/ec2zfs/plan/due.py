"""Which snapshots of which datasets are due now. Pure: the clock and the zone are arguments.

A period is due when it has come since the newest snapshot of it. However often it has come since, it is caught up once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ec2zfs.model.policy import Schedule
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
        whose = self.datasets[0] if len(self.datasets) == 1 else f"{len(self.datasets)} datasets of {self.pool}"
        return f"take {self.name} of {whose}"

    @property
    def snapshots(self) -> tuple[str, ...]:
        """The full names."""
        return tuple(f"{dataset}@{self.name}" for dataset in self.datasets)


def plan_snapshots(
    datasets: Sequence[Dataset], schedule: Schedule, now: datetime, at_once: str | None = None
) -> tuple[TakeSnapshot, ...]:
    """What is due, one action for each pool and period; excluded datasets are left out.

    `at_once`: the one period that is due now whatever the clock says, where the policy keeps any of it.
    """
    dues = _dues(schedule, now) if at_once is None else {at_once: sortable(now)}
    batches: dict[tuple[str, str], list[str]] = {}
    for dataset in datasets:
        policy, newest = schedule.policy_of(dataset.name), newest_times(dataset, now)
        for period in policy.periods if policy else ():
            if period in dues and newest.get(period, "") < dues[period]:
                pool = dataset.name.partition("/")[0]
                batches.setdefault((pool, period), []).append(dataset.name)
    return tuple(
        TakeSnapshot(pool, snapshot_name(now, period), period, tuple(names))
        for (pool, period), names in batches.items()
    )


def _dues(schedule: Schedule, now: datetime) -> dict[str, str]:
    """When each period was last due."""
    found = ((period.name, last_due(period, schedule.zone, now)) for period in schedule.periods)
    return {name: sortable(due) for name, due in found if due}


def newest_times(dataset: Dataset, now: datetime) -> dict[str, str]:
    """When the newest snapshot of each period was taken, as sortable texts. What is from the future is left out."""
    newest: dict[str, str] = {}
    present = sortable(now)
    for parts in filter(None, (snapshot_parts(each.name) for each in dataset.snapshots)):
        if newest.get(parts.period, "") < parts.time <= present:
            newest[parts.period] = parts.time
    return newest
