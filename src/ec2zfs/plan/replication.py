"""Decides how each source reaches its copy: which stream, from which base, in which order, or why not at all.

Pure. The common base is found by GUID, never by name, and every snapshot is a stream of its own (fact 36). It never
decides to roll a target back or to destroy a snapshot.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from ec2zfs.errors import NoSpace
from ec2zfs.model.replication import Replica, ReplicationState, target_name
from ec2zfs.model.send_flags import SendFlags
from ec2zfs.model.snapshot import Bookmark, Dataset, Snapshot
from ec2zfs.plan.conflicts import (
    LONGEST_NAME,
    Conflict,
    Diverged,
    EncryptionChanged,
    KindChanged,
    NameTooLong,
    NoCommonBase,
    SendFlagsUnknown,
    TargetModified,
    TargetOccupied,
    length_of_copy,
)
from ec2zfs.plan.copies import Copies, unmarked
from ec2zfs.plan.cursors import cursors, mark
from ec2zfs.plan.orphans import Orphan, orphans
from ec2zfs.plan.partings import parted, place_taken
from ec2zfs.plan.replication_steps import (
    CreateParent,
    DropPartial,
    Full,
    Identify,
    Incremental,
    KeepProperties,
    RenameCopy,
    Resume,
    Step,
    Transfer,
)
from ec2zfs.plan.resume_tokens import token_fault

IDLE = "its newest snapshot is there already"
"""Why nothing is done for a copy that has all it is to have."""

SLACK_BYTES = 16 * 1024**2
SLACK_PART = 20
"""Room that is asked for on top of an estimate, which leaves out some metadata (fact 45): 1/20 of it and 16 MiB."""


@dataclass(frozen=True)
class Common:
    """The newest snapshot that both sides have: what the source has of it, and its copy.

    `bookmarked`: the source has a bookmark of it, which stands in for it when it is gone.
    """

    ours: Snapshot | Bookmark
    copy: Snapshot
    bookmarked: bool


@dataclass(frozen=True)
class DatasetPlan:
    """What is to be done for one dataset.

    `conflict` says why nothing can be, `note` why nothing needs to be (or cannot yet). `unsent_bytes` is what the
    source has written since its newest snapshot: no step here sends it. `common` is where both sides stand.
    """

    replica: Replica
    steps: tuple[Step, ...] = ()
    conflict: Conflict | None = None
    note: str = ""
    unsent_bytes: int = 0
    common: Common | None = None

    @property
    def transfers(self) -> tuple[Transfer, ...]:
        """The steps that send a stream."""
        return tuple(step for step in self.steps if isinstance(step, Transfer))


@dataclass(frozen=True)
class Audit:
    """Datasets in whose snapshots an earlier run may have left holds; none as a rule."""

    site: tuple[str, ...] = ()
    receiver: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReplicationPlan:
    """What is to be done for all datasets, parents first, and the room in the pool in bytes (None if not known).

    Before any dataset `marks` are put on, then `partings` done in their order. `properties` are given to the copies
    once they stand; `passed_over` says which cannot be, a sentence each. `orphans` are copies without a source, `notes`
    tell the next run which copies it need not look into, and that nothing else is there. `outdated` withdraws such a
    note, before all else.
    """

    pool: str
    datasets: tuple[DatasetPlan, ...]
    available: int | None = None
    audit: Audit = Audit()
    properties: tuple[KeepProperties, ...] = ()
    passed_over: tuple[str, ...] = ()
    marks: tuple[Identify, ...] = ()
    partings: tuple[RenameCopy, ...] = ()
    orphans: tuple[Orphan, ...] = ()
    notes: tuple[KeepProperties, ...] = ()
    outdated: tuple[KeepProperties, ...] = ()

    @property
    def transfers(self) -> tuple[Transfer, ...]:
        """All streams, in order."""
        return tuple(transfer for dataset in self.datasets for transfer in dataset.transfers)

    @property
    def conflicts(self) -> tuple[Conflict, ...]:
        """What stands in the way of the datasets that are left out."""
        return tuple(dataset.conflict for dataset in self.datasets if dataset.conflict)

    @property
    def bytes(self) -> int:
        """The estimated size of all streams; one without an estimate counts as nothing."""
        return sum(transfer.bytes or 0 for transfer in self.transfers)


def plan_replication(state: ReplicationState) -> ReplicationPlan:
    """Decide for all sources, in an order in which a parent's copy comes before its children's."""
    copies, partings = parted(Copies.of(state), state.pool)
    sealed = {target_name(state.pool, source.name) for source in state.sources if source.encrypted}
    # A preview supposes copies, and nothing above them.
    standing = {place for name in copies.standing for place in (name, *ancestors(name))}
    waiting, plans = set[str](), list[DatasetPlan]()
    for source in sorted(state.sources, key=lambda source: source.name):
        target = target_name(state.pool, source.name)
        parents = tuple(CreateParent(name) for name in ancestors(target) if name not in standing)
        waits = is_below(target, waiting)
        moved = "" if waits else copies.fetched(source, target)
        if moved:
            copies = copies.after(moved, target)
            standing = {name for name in standing if not f"{name}/".startswith(f"{moved}/")} | set(copies.standing)
        copy = copies.standing.get(target)
        flags = chain_flags(source, copy)
        replica = Replica(source.name, target, source.kind, flags, is_below(target, sealed), source.guid)
        if waits:
            plans.append(DatasetPlan(replica, note="it waits for the first copy of its parent"))
            continue
        plan = plan_dataset(replica, source, copy, parents)
        if taken := place_taken(copies, replica, source, state):
            common = find_common(source, copies.standing[taken.strayed])
            plan = replace(plan, steps=(), conflict=taken, note="", common=common)
        plan = _following(plan, moved, parents) if moved else plan
        plans.append(plan)
        if plan.transfers or moved:
            standing.update(parent.name for parent in parents)
            standing.add(target)
        elif target not in standing:
            waiting.add(target)
    return ReplicationPlan(
        state.pool,
        tuple(plans),
        state.available,
        _audit(state),
        marks=unmarked(state),
        partings=partings,
        orphans=orphans(copies, state),
    )


def plan_dataset(
    replica: Replica, source: Dataset, target: Dataset | None, parents: tuple[CreateParent, ...] = ()
) -> DatasetPlan:
    """Decide for one dataset; `target` is its copy so far, `parents` what must be created above it."""
    if not source.snapshots:
        return DatasetPlan(replica, note="it has no snapshot yet", unsent_bytes=source.written)
    common = find_common(source, target)
    base = common.ours if common else None
    pending = tuple(snap for snap in source.snapshots if base is None or snap.createtxg > base.createtxg)
    conflict = _conflict(replica, source, target, pending)
    if conflict:
        return DatasetPlan(replica, conflict=conflict, unsent_bytes=source.written, common=common)
    opening = _opening(replica, base, pending, source, target)
    sending = _sending(replica, base, pending, opening)
    steps = _marked((*opening, *sending), base, cursors(source, replica.pool), replica.pool)
    note = "" if steps else IDLE
    steps = (*parents, *steps) if sending else steps
    return DatasetPlan(replica, steps, note=note, unsent_bytes=source.written, common=common)


def _following(plan: DatasetPlan, moved: str, parents: tuple[CreateParent, ...]) -> DatasetPlan:
    """The plan with the copy renamed first. What conflicts at the new place is told once it stands there."""
    if isinstance(plan.conflict, NameTooLong):
        return plan
    rest = () if plan.conflict else tuple(step for step in plan.steps if not isinstance(step, CreateParent))
    steps = (*parents, RenameCopy(moved, plan.replica.target), *rest)
    return replace(plan, steps=steps, conflict=None, note="")


def require_space(plan: ReplicationPlan) -> None:
    """Raise `NoSpace` when the estimate and some slack do not fit into the room that the pool has."""
    needed = plan.bytes + plan.bytes // SLACK_PART + SLACK_BYTES
    if not plan.transfers or plan.available is None or needed <= plan.available:
        return
    raise NoSpace(
        f"The pool {plan.pool} has {_mib(plan.available)} free, but {_mib(plan.bytes)} are to be sent and "
        f"{_mib(needed)} would be needed with some slack; nothing was sent.",
        hint="Grow the pool, or destroy copies in it that are not wanted any more.",
    )


def is_below(name: str, datasets: Collection[str]) -> bool:
    """Whether one of the datasets stands above that name in the pool."""
    return any(above in datasets for above in ancestors(name))


def ancestors(target: str) -> tuple[str, ...]:
    """The datasets above, below the pool itself: `cloud/tank` for `cloud/tank/home`."""
    words = target.split("/")
    return tuple("/".join(words[:count]) for count in range(2, len(words)))


def chain_flags(source: Dataset, target: Dataset | None) -> SendFlags:
    """The flags with which the copy was begun, and with which it goes on.

    One without the property was made by an earlier version, and one whose flags do not fit its encryption has inherited
    them from a copy above: these go by encryption. What is not known at all is a conflict.
    """
    fitting = SendFlags.of(encrypted=source.encrypted)
    known = [flags for flags in SendFlags if target and flags == target.send]
    return next((flags for flags in known if (flags is SendFlags.RAW) == source.encrypted), fitting)


def find_common(source: Dataset, target: Dataset | None) -> Common | None:
    """The newest snapshot that both sides know; of the source a snapshot rather than its bookmark."""
    bookmarks = {bookmark.guid: bookmark for bookmark in source.bookmarks}
    known: dict[int, Snapshot | Bookmark] = {**bookmarks, **{snapshot.guid: snapshot for snapshot in source.snapshots}}
    theirs = reversed(target.snapshots) if target else ()
    copy = next((snapshot for snapshot in theirs if snapshot.guid in known), None)
    return Common(known[copy.guid], copy, copy.guid in bookmarks) if copy else None


def _audit(state: ReplicationState) -> Audit:
    """Where to look for holds, if ZFS remembers that there may be any."""
    sources = (*state.sources, *state.excluded)
    site = any(state.pool in source.held_for for source in sources)
    receiver = any(target.name == state.pool and state.pool in target.held_for for target in state.targets)
    return Audit(
        tuple(source.name for source in sources) if site else (),
        tuple(target.name for target in state.targets) if receiver else (),
    )


def _conflict(
    replica: Replica, source: Dataset, target: Dataset | None, pending: tuple[Snapshot, ...]
) -> Conflict | None:
    for snapshot in pending:
        if length_of_copy(replica.target, snapshot.name) > LONGEST_NAME:
            return NameTooLong(replica, snapshot)
    if target is None:
        return None
    if target.kind is not source.kind:
        return KindChanged(replica)
    if target.send and target.send not in {*SendFlags}:
        return SendFlagsUnknown(replica, target.send)
    if not target.snapshots:
        return None if target.partial else TargetOccupied(replica)
    if target.encrypted is not source.encrypted:
        return EncryptionChanged(replica)
    return _parted(replica, source, target, pending)


def _parted(replica: Replica, source: Dataset, target: Dataset, pending: tuple[Snapshot, ...]) -> Conflict | None:
    common = find_common(source, target)
    if common is None:
        return NoCommonBase(replica, source.snapshots, target.snapshots)
    place = target.snapshots.index(common.copy)
    if target.snapshots[place + 1 :]:
        return Diverged(replica, common.ours, pending, target.snapshots[place + 1 :])
    return TargetModified(replica, target.snapshots[-1], target.written) if target.written else None


def _opening(
    replica: Replica,
    base: Snapshot | Bookmark | None,
    pending: tuple[Snapshot, ...],
    source: Dataset,
    target: Dataset | None,
) -> tuple[Resume | DropPartial, ...]:
    if target is None or target.partial is None:
        return ()
    fault = token_fault(target.partial, source, target, pending)
    if fault:
        return (DropPartial(target.name, fault),)
    return (Resume(replica, base, pending[0], target.partial),)


def _sending(
    replica: Replica,
    base: Snapshot | Bookmark | None,
    pending: tuple[Snapshot, ...],
    opening: tuple[Resume | DropPartial, ...],
) -> tuple[Full | Incremental, ...]:
    resumed = any(isinstance(step, Resume) for step in opening)
    transfers: list[Full | Incremental] = []
    for snapshot in pending:
        transfers.append(Incremental(replica, base, snapshot) if base else Full(replica, snapshot))
        base = snapshot
    return tuple(transfers[1:] if resumed else transfers)


def _marked(
    steps: tuple[Step, ...], base: Snapshot | Bookmark | None, existing: tuple[Bookmark, ...], pool: str
) -> tuple[Step, ...]:
    """The steps with the cursor moved wherever the last common snapshot moves, and put right before if it is not."""
    marked = list[Step]()
    if isinstance(base, Snapshot):
        existing = _moved(marked, base, existing, pool)
    for step in steps:
        marked.append(step)
        if isinstance(step, Transfer):
            existing = _moved(marked, step.to, existing, pool)
    return tuple(marked)


def _moved(steps: list[Step], snapshot: Snapshot, existing: tuple[Bookmark, ...], pool: str) -> tuple[Bookmark, ...]:
    move = mark(snapshot, pool, existing)
    if move is None:
        return existing
    steps.append(move)
    return (Bookmark(snapshot.dataset, move.cursor, snapshot.guid, snapshot.createtxg),)


def _mib(size: int) -> str:
    return f"{size / 1024**2:,.1f} MiB"
