"""Which snapshots a copy is to get: what its own rules would keep, and whatever `ec2zfs` did not make. Pure.

What is left out is no loss: an increment spans it. The base and all before it stay: both sides are compared by them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from ec2zfs.model.policy import Keeps
from ec2zfs.model.replication import ReplicationState
from ec2zfs.model.snapshot import Bookmark, Dataset, Snapshot
from ec2zfs.model.snapshot_name import snapshot_parts
from ec2zfs.plan.partings import standing_copies
from ec2zfs.plan.retention import judge


@dataclass(frozen=True)
class Selection:
    """What the copies' tier keeps of each dataset (None: it is not copied), and the time at which that is asked."""

    keeps: Callable[[str], Keeps | None]
    now: Callable[[], datetime]

    def of(self, source: Dataset, target: Dataset | None) -> Dataset:
        """The source with only those of its newer snapshots that the copy would keep."""
        keeps = self.keeps(source.name)
        return source if keeps is None else selected(source, target, keeps, self.now())

    def rules(self, names: Iterable[str]) -> dict[str, Keeps]:
        """What the copies keep of each of these that is copied."""
        return {name: keeps for name in names if (keeps := self.keeps(name)) is not None}

    def among(self, state: ReplicationState) -> ReplicationState:
        """Both sides, the sources without what is excluded and what would not be kept."""
        chosen = tuple(each for each in state.sources if self.keeps(each.name) is not None)
        excluded = tuple(each for each in state.sources if self.keeps(each.name) is None)
        state = replace(state, sources=chosen, excluded=excluded)
        copies = standing_copies(state)
        return replace(state, sources=tuple(self.of(each, copies.get(each.name)) for each in chosen))


def selected(source: Dataset, target: Dataset | None, keeps: Keeps, now: datetime) -> Dataset:
    """The source without the snapshots that are not in the copy yet and that it would not keep."""
    there = {snapshot.guid for snapshot in target.snapshots} if target else set[int]()
    entries: tuple[Snapshot | Bookmark, ...] = (*source.snapshots, *source.bookmarks)
    base = max((entry.createtxg for entry in entries if entry.guid in there), default=-1)
    pending = [snapshot for snapshot in source.snapshots if snapshot.createtxg > base]
    before = target.snapshots if target else ()
    kept = {verdict.snapshot.guid for verdict in judge([*before, *pending], keeps, {}, now) if verdict.kept}
    left_out = {each.guid for each in pending if each.guid not in kept or _never_kept(each, keeps)}
    if not left_out:
        return source
    return replace(source, snapshots=tuple(each for each in source.snapshots if each.guid not in left_out))


def _never_kept(snapshot: Snapshot, keeps: Keeps) -> bool:
    """Whether it is of a period of which the tier keeps none: the newest of it stays where it is, but need not come."""
    parts = snapshot_parts(snapshot.name)
    return parts is not None and (parts.period not in keeps or not keeps[parts.period].count)
