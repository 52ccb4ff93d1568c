"""The staging pool's side: staging the snapshots that are due, thinning them, and which of its datasets may leave."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ec2zfs.errors import Refused
from ec2zfs.execute.pruning import Pruned, PruningPlan, plan_pruning, prune
from ec2zfs.execute.staging import Stager
from ec2zfs.execute.staging_report import StagingReport
from ec2zfs.execute.staging_state import staged_by_name, staging_tree
from ec2zfs.model.policy import Schedule, Tier
from ec2zfs.model.snapshot import Dataset
from ec2zfs.model.source import Source
from ec2zfs.model.staging import SOURCE_GUID, StagingState, staged_name
from ec2zfs.plan.pruning import TierRules
from ec2zfs.plan.staging import StagingPlan, StagingRules, plan_staging
from ec2zfs.runs.snapshots import keeps_of
from ec2zfs.runs.staged_files import StagedFiles, all_newest, at_time


@dataclass(frozen=True)
class Emphasis:
    """What the operator wants beyond what is due: the whole trees compared, or every file encrypted again."""

    full: bool = False
    again: bool = False


DUE = Emphasis()


@dataclass(frozen=True)
class Staging:
    """The staging pool and what is staged there, by which policies.

    `lock` is held while something is staged, for hours maybe; `pruning_lock` while snapshots are destroyed. The two
    do not disturb each other: a stage goes on from the newest snapshot, which pruning spares.
    """

    stager: Stager
    sources: tuple[Source, ...]
    schedule: Schedule = field(default_factory=Schedule)
    full_every: timedelta = timedelta(days=7)
    lock: Callable[[], AbstractContextManager[None]] = nullcontext
    pruning_lock: Callable[[], AbstractContextManager[None]] = nullcontext

    @property
    def root(self) -> str:
        """The staging dataset."""
        return self.stager.root

    def plan(self, now: datetime, emphasis: Emphasis = DUE) -> StagingPlan:
        """What is to be done now. Raises `ConfigurationError` when a source or the staging dataset is not there."""
        return self._planned(now, emphasis)[1]

    def stage(self, now: datetime, emphasis: Emphasis = DUE) -> StagingReport:
        """Stage what is due, and report on each dataset. Raises as `plan` and `Stager.run` do."""
        with self.lock():
            state, plan = self._planned(now, emphasis)
            return self.stager.run(plan, state)

    def plan_pruning(self, now: datetime) -> PruningPlan:
        """What the policies do not keep in the staging pool. The newest of each dataset always stays."""
        site = self.stager.site
        names, found = self.names(), staging_tree(site, self.root)
        keeps = keeps_of(self.schedule, Tier.STAGING)
        rules = TierRules(lambda staged: keeps(names[staged]), SOURCE_GUID, _newest)
        return plan_pruning(site, [each for each in found if each.name in names], rules, now)

    def prune(self, now: datetime) -> Pruned:
        """Destroy what the policies do not keep in the staging pool."""
        with self.pruning_lock():
            return prune(self.stager.site, self.plan_pruning(now))

    def names(self) -> Mapping[str, str]:
        """The sources by the names of their staged datasets: of those alone that bear our mark, and are to be staged.

        Nothing else below the staging dataset is known to be encrypted, so nothing else is to leave.
        """
        staged = (each.name for each in staged_by_name(self.stager.site, self.root).values() if each.source_guid)
        found = ((name, name.removeprefix(f"{self.root}/")) for name in staged)
        return {name: source for name, source in found if any(each.covers(source) for each in self.sources)}

    def datasets(self) -> tuple[Dataset, ...]:
        """The staged datasets, by the names of their sources, as far as they are staged to a snapshot."""
        names = self.names()
        found = staging_tree(self.stager.site, self.root)
        return tuple(replace(each, name=names[each.name]) for each in found if each.name in names)

    def files(self, source: str, at: datetime | str | None = None) -> StagedFiles:
        """Where the files of a source stand as of a time; see `at_time`. Raises `Refused` when nothing is staged."""
        staged = staged_by_name(self.stager.site, self.root).get(staged_name(self.root, source))
        if staged is None or not staged.source_guid:
            raise Refused(f"Nothing of {source} is staged.", hint=f"`zfs list -r {self.root}` shows what is.")
        return at_time(self.stager.site, staged, source, at)

    def all_files(self) -> Iterator[StagedFiles]:
        """Where the files of each source stand as of its newest staged snapshot."""
        found = staged_by_name(self.stager.site, self.root)
        return all_newest(self.stager.site, list(found.values()), self.root)

    def _planned(self, now: datetime, emphasis: Emphasis) -> tuple[StagingState, StagingPlan]:
        state = self.stager.observe(self.sources)
        rules = StagingRules(keeps_of(self.schedule, Tier.STAGING), self.full_every, emphasis.full, emphasis.again)
        return state, plan_staging(state, rules, now)


def _newest(dataset: Dataset) -> dict[int, str]:
    return {snapshot.guid: "the next stage begins there" for snapshot in dataset.snapshots[-1:]}
