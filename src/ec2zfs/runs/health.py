"""How fresh everything is, seen from the site alone: no receiver is started for it, and nothing changed.

Where a source is staged, its copy in the cloud is one of what is staged, and is judged by the marks on that.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from ec2zfs.execute.replication import preview
from ec2zfs.model.policy import Schedule
from ec2zfs.model.snapshot import Dataset, DatasetKind
from ec2zfs.plan.cursors import cursors
from ec2zfs.plan.freshness import Freshness, State, cloud_freshness, site_freshness, staging_freshness
from ec2zfs.plan.staging import DatasetStaging
from ec2zfs.runs.snapshots import Site
from ec2zfs.runs.staging import Staging
from ec2zfs.tools.zfs import Zfs


@dataclass(frozen=True)
class LastRun:
    """The last daily run that left a report: when it began, and what failed in it, "" for nothing.

    `orphans` tell of copies whose sources do not exist any more, as the last run saw them that looked.
    """

    started: str
    failure: str
    orphans: tuple[str, ...] = ()


@dataclass(frozen=True)
class Health:
    """Each dataset and tier, the bytes that each copy lacks by dataset, and the last run (None: no report)."""

    datasets: tuple[Freshness, ...]
    backlog: Mapping[str, int]
    last_run: LastRun | None

    @property
    def state(self) -> State:
        """The worst of all; a last run that failed is late at least."""
        of_the_run = State.LATE if self.last_run and self.last_run.failure else State.FINE
        return max((of_the_run, *(each.state for each in self.datasets)))


def look(site: Site, pool: str, reports: Path, now: datetime, staging: Staging | None = None) -> Health:
    """Look at the site. Raises as listing the sources and the staging pool does."""
    datasets = site.datasets()
    staged = _Staged.of(staging, now) if staging else _Staged()
    made = _creations(site, pool, (*datasets, *staged.datasets.values()))
    plan = preview(site.host, site.sent_sources, pool, site.sent(lambda: now))
    backlog = {
        staged.names.get(each.replica.source, each.replica.source): each.unsent_bytes
        + sum(transfer.bytes or 0 for transfer in each.transfers)
        for each in plan.datasets
    }
    fresh = [
        freshness
        for each in datasets
        for freshness in (
            site_freshness(each, site.schedule, now),
            *(
                (cloud_freshness(each, pool, site.schedule, now, made),)
                if each.name not in staged.plans
                else staged.freshness(each, pool, (site.schedule, now, made))
            ),
        )
    ]
    return Health(tuple(fresh), backlog, last_run(reports, pool))


Judging = tuple[Schedule, datetime, Mapping[str, datetime]]
"""By which policies, when, and when the snapshots were taken of which cursors alone are left."""


@dataclass(frozen=True)
class _Staged:
    """What is staged: plans, staged datasets and these datasets' own names, all by or as the names of the sources."""

    plans: Mapping[str, DatasetStaging] = field(default_factory=dict)
    datasets: Mapping[str, Dataset] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def of(staging: Staging, now: datetime) -> _Staged:
        plans = {each.source: each for each in staging.plan(now).datasets}
        return _Staged(plans, {each.name: each for each in staging.datasets()}, staging.names())

    def freshness(self, dataset: Dataset, pool: str, judging: Judging) -> Iterator[Freshness]:
        """How the staging pool and the cloud stand for a dataset that is to be staged; not at all without files."""
        plan, staged, (schedule, now, made) = self.plans[dataset.name], self.datasets.get(dataset.name), judging
        if plan.skipped and dataset.kind is DatasetKind.FILESYSTEM:
            return
        found = staging_freshness(dataset, staged, schedule, now)
        if why := str(plan.conflict or plan.skipped or ""):
            found = replace(found, state=max(found.state, State.LATE), reason=why)
        yield found
        yield cloud_freshness(staged or replace(dataset, bookmarks=()), pool, schedule, now, made)


def last_run(reports: Path, pool: str) -> LastRun | None:
    """What the newest report of a daily run of this pool tells; None without one that can be read."""
    found: LastRun | None = None
    for file in sorted(reports.glob(f"*-{pool}.json"), reverse=True):
        try:
            report = json.loads(file.read_text("utf-8"))
            if report["command"] != "backup":
                continue
            failed = [f"{each['name']}: {each['outcome']}" for each in report["stages"] if each["failed"]]
            found = found or LastRun(str(report["started"]), "; ".join(failed))
            if (orphans := report.get("orphans")) is not None:
                return replace(found, orphans=tuple(map(str, orphans)))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return found


def _creations(site: Site, pool: str, datasets: tuple[Dataset, ...]) -> dict[str, datetime]:
    """When the snapshots were taken whose cursors alone are left."""
    lonely = [
        str(marked[-1])
        for each in datasets
        if (marked := cursors(each, pool)) and marked[-1].guid not in {snapshot.guid for snapshot in each.snapshots}
    ]
    return Zfs(site.host).creations(lonely)
