"""What is to be done in the staging pool: which snapshots are staged next, from which base, and what comes before that.

Pure. By GUID, never by name. A staged dataset is rolled back only where our mark says that we were at work in it, and
what is not ours is a conflict. The base is held at the source, so it goes only when somebody insists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from ec2zfs.model.policy import Keeps
from ec2zfs.model.snapshot import Dataset, DatasetKind, Snapshot
from ec2zfs.model.snapshot_name import named_time, snapshot_parts
from ec2zfs.model.staging import StagedDataset, StagedSnapshot, StagingState, staged_name
from ec2zfs.plan.selection import selected
from ec2zfs.plan.staging_conflicts import (
    LONGEST_NAME,
    ForeignDataset,
    ForeignSnapshots,
    NameTaken,
    NothingNewer,
    OtherSource,
    SourceRenamed,
    StagedModified,
    StagedNameTooLong,
    StagingConflict,
    unreachable,
)


@dataclass(frozen=True)
class StagingRules:
    """How sources are staged. `keeps`: what the staging tier keeps of each, None where a policy excludes it.

    `full_every`: how long after a comparison of the whole tree the next one is due; `full`: it is now. `again`: every
    file is encrypted again.
    """

    keeps: Callable[[str], Keeps | None]
    full_every: timedelta
    full: bool = False
    again: bool = False


@dataclass(frozen=True)
class CreateStaged:
    """Make the staged dataset of a source, and first the `parents` above it that are missing, from above.

    `adopt`: it is there already, as a parent of others.
    """

    place: str
    source: str
    source_guid: int
    parents: tuple[str, ...] = ()
    adopt: bool = False

    def __str__(self) -> str:
        return f"{'use' if self.adopt else 'create'} {self.place}"


@dataclass(frozen=True)
class RollBackStaged:
    """Undo what an interrupted run left: back to the snapshot of that short name, or to nothing (None).

    `unneeded`: snapshots of the source that the interrupted run held, or had not let go yet.
    """

    place: str
    to: str | None
    unneeded: tuple[Snapshot, ...] = ()

    def __str__(self) -> str:
        return f"roll {self.place} back to {f'@{self.to}' if self.to else 'the empty folder'}"


@dataclass(frozen=True)
class StageSnapshot:
    """Bring the staged dataset from the `base` (None: from nothing) to the snapshot, and take one of the same name.

    `full`: compare the whole tree. `again`: encrypt everything. `lost`: there is something, but the source has not got
    the snapshot any more as of which it is, so the whole tree is compared with that. `walked`: when the whole tree will
    have been compared. `unneeded` are snapshots of the source that need not be held once this is done.
    """

    place: str
    snapshot: Snapshot
    base: Snapshot | None
    full: bool
    again: bool
    walked: datetime
    unneeded: tuple[Snapshot, ...] = ()
    lost: bool = False

    def __str__(self) -> str:
        if self.lost:
            return f"stage {self.snapshot}, the whole tree compared, since the snapshot that is staged is gone there"
        start = f"from @{self.base.name}" if self.base else "from nothing"
        how = ", all encrypted again" if self.again else ", the whole tree compared" if self.full and self.base else ""
        return f"stage {self.snapshot} {start}{how}"


StagingStep = CreateStaged | RollBackStaged | StageSnapshot


@dataclass(frozen=True)
class DatasetStaging:
    """What is to be done for a dataset of the sources; nothing where there is a conflict, or a reason to skip it."""

    source: str
    place: str
    steps: tuple[StagingStep, ...] = ()
    conflict: StagingConflict | None = None
    skipped: str = ""


@dataclass(frozen=True)
class StagingPlan:
    """What is to be done, dataset by dataset, parents first."""

    datasets: tuple[DatasetStaging, ...]

    @property
    def steps(self) -> tuple[StagingStep, ...]:
        """All steps in their order."""
        return tuple(step for dataset in self.datasets for step in dataset.steps)


def plan_staging(state: StagingState, rules: StagingRules, now: datetime) -> StagingPlan:
    """What is to be done for each dataset that no policy excludes."""
    by_source = {each.source_guid: each for each in state.staged.values() if each.source_guid}
    found = list[DatasetStaging]()
    made = {*state.staged, state.root}
    for source in sorted(state.sources, key=lambda each: each.name):
        keeps = rules.keeps(source.name)
        if keeps is not None:
            planned = _Planner(state, rules, now, made, by_source).dataset(source, keeps)
            made |= {name for step in planned.steps if isinstance(step, CreateStaged) for name in _created(step)}
            found.append(planned)
    return StagingPlan(tuple(found))


def _created(step: CreateStaged) -> Iterable[str]:
    return (*step.parents, step.place)


@dataclass(frozen=True)
class _Planner:
    state: StagingState
    rules: StagingRules
    now: datetime
    made: set[str]
    by_source: dict[int, StagedDataset]

    def dataset(self, source: Dataset, keeps: Keeps) -> DatasetStaging:
        place = staged_name(self.state.root, source.name)
        if source.kind is DatasetKind.VOLUME:
            return DatasetStaging(source.name, place, skipped=_volume(source.name))
        mount = self.state.mounts.get(source.name)
        if mount and mount.canmount == "off":
            return DatasetStaging(source.name, place, skipped=_never_mounted(source.name))
        staged = self.state.staged.get(place)
        conflict = self._placed(source, place, staged)
        if conflict is None and staged and not staged.parent:
            conflict = _touched(source.name, staged)
        if conflict:
            return DatasetStaging(source.name, place, conflict=conflict)
        ours = staged if staged and staged.source_guid else StagedDataset(place)
        preparing = tuple(self._prepared(source, place, staged))
        pending, conflict = self._pending(source, ours, keeps)
        if pending and not conflict:
            conflict = unreachable(source.name, place, mount)
        interrupted = ours.under_way is not None
        if conflict or not pending:
            return DatasetStaging(source.name, place, preparing if interrupted else (), conflict)
        return DatasetStaging(source.name, place, (*preparing, *self._staged(source, ours, pending)))

    def _placed(self, source: Dataset, place: str, staged: StagedDataset | None) -> StagingConflict | None:
        """Whether the place is the source's, or free for it."""
        strayed = self.by_source.get(source.guid)
        if strayed and strayed.name != place:
            return SourceRenamed(source.name, strayed.name, place)
        if staged is None or staged.source_guid == source.guid:
            return None
        if staged.source_guid:
            return OtherSource(source.name, place)
        usable = staged.parent and not staged.snapshots
        return None if usable else ForeignDataset(source.name, place)

    def _prepared(self, source: Dataset, place: str, staged: StagedDataset | None) -> Iterator[StagingStep]:
        if staged is None or not staged.source_guid:
            parents = tuple(name for name in _above(place, self.state.root) if name not in self.made)
            yield CreateStaged(place, source.name, source.guid, parents, adopt=staged is not None)
        elif staged.under_way is not None or not staged.snapshots:
            newest = staged.snapshots[-1] if staged.snapshots else None
            let_go = {staged.under_way, *(each.source_guid for each in staged.snapshots)}
            kept = newest.source_guid if newest else None
            unneeded = tuple(each for each in source.snapshots if each.guid in let_go and each.guid != kept)
            yield RollBackStaged(place, newest.name if newest else None, unneeded)

    def _pending(
        self, source: Dataset, staged: StagedDataset, keeps: Keeps
    ) -> tuple[tuple[Snapshot, ...], StagingConflict | None]:
        """The snapshots that are to be staged, oldest first, and what is in their way."""
        base = _base(source, staged)
        as_copy = tuple(Snapshot(staged.name, each.name, each.source_guid, each.createtxg) for each in staged.snapshots)
        chosen = selected(source, Dataset(staged.name, 0, encrypted=False, snapshots=as_copy), keeps, self.now)
        there = {each.guid for each in as_copy}
        since = max((each.createtxg for each in source.snapshots if each.guid in there), default=-1)
        pending = tuple(each for each in chosen.snapshots if each.createtxg > since)
        if staged.snapshots and self.rules.again and not pending:
            return (), NothingNewer(source.name, staged.name)
        if staged.snapshots and base is None and not self.rules.again:
            pending = tuple(each for each in pending[-1:] if not _is_older(each, staged.snapshots[-1]))
        return pending, _unnameable(source.name, staged, pending)

    def _staged(self, source: Dataset, staged: StagedDataset, pending: tuple[Snapshot, ...]) -> Iterator[StageSnapshot]:
        walked = staged.snapshots[-1].walked if staged.snapshots else None
        again = self.rules.again and bool(staged.snapshots)
        base, there = _base(source, staged), {each.source_guid for each in staged.snapshots}
        lost = base is None and bool(staged.snapshots) and not again
        full = self.rules.full or lost or walked is None or self.now - walked >= self.rules.full_every
        unneeded = tuple(each for each in source.snapshots if each.guid in there)
        for snapshot in pending:
            walked = self.now if full or walked is None else walked
            yield StageSnapshot(staged.name, snapshot, None if again else base, full, again, walked, unneeded, lost)
            base, unneeded, full, again, lost = snapshot, (snapshot,), False, False, False


def _touched(source: str, staged: StagedDataset) -> StagingConflict | None:
    """What somebody else did to a staged dataset."""
    if strange := tuple(each.name for each in staged.snapshots if not each.source_guid):
        return ForeignSnapshots(source, staged.name, strange)
    if staged.written and staged.snapshots and staged.under_way is None:
        return StagedModified(source, staged.name, staged.snapshots[-1].name, staged.written)
    return None


def _unnameable(source: str, staged: StagedDataset, pending: tuple[Snapshot, ...]) -> StagingConflict | None:
    names = {each.name for each in staged.snapshots}
    for snapshot in pending:
        if snapshot.name in names:
            return NameTaken(source, staged.name, snapshot)
        if len(f"{staged.name}@{snapshot.name}".encode()) > LONGEST_NAME:
            return StagedNameTooLong(source, staged.name, snapshot)
    return None


def _base(source: Dataset, staged: StagedDataset) -> Snapshot | None:
    """The source's snapshot as of which it is staged."""
    guid = staged.snapshots[-1].source_guid if staged.snapshots else 0
    return next((each for each in source.snapshots if each.guid == guid), None)


def _is_older(snapshot: Snapshot, staged: StagedSnapshot) -> bool:
    """Whether a snapshot of ours was taken before the one that is staged, as after a rollback of the source."""
    parts = snapshot_parts(snapshot.name)
    return parts is not None and staged.taken is not None and named_time(parts) < staged.taken


def _above(place: str, root: str) -> Iterator[str]:
    words = place.removeprefix(f"{root}/").split("/")
    return (f"{root}/{'/'.join(words[:count])}" for count in range(1, len(words)))


def _volume(name: str) -> str:
    return (
        f"{name} is a volume, which has no files: it is not staged, and no copy of it is made in the cloud pool. Only a"
        " [[source]] with staged = false is copied as it is."
    )


def _never_mounted(name: str) -> str:
    return f"{name} is never mounted (canmount=off): it is taken to have no files of its own, and is not staged."
