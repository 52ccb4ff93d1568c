"""Decides which snapshots a run holds at both ends before its first stream, and which stay held after it.

Pure. Held is what is being sent, and what it is sent from; released what nothing waits for any more. A base stays held
as long as no bookmark stands in for it, and so does what a stream that was cut goes on from.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce

from ec2zfs.model.snapshot import Snapshot
from ec2zfs.plan.copies import name_after
from ec2zfs.plan.replication import Common, DatasetPlan, ReplicationPlan
from ec2zfs.plan.replication_steps import Mark, RenameCopy, Resume


@dataclass(frozen=True)
class Holds:
    """Snapshots by their full names, at the site and on the receiver."""

    site: frozenset[str] = frozenset()
    receiver: frozenset[str] = frozenset()

    def __or__(self, other: Holds) -> Holds:
        return Holds(self.site | other.site, self.receiver | other.receiver)

    def __sub__(self, other: Holds) -> Holds:
        return Holds(self.site - other.site, self.receiver - other.receiver)

    def following(self, step: RenameCopy) -> Holds:
        """The same after a copy was renamed: holds go with their snapshots."""
        return Holds(self.site, frozenset(_renamed(name, step) for name in self.receiver))


@dataclass(frozen=True)
class Left:
    """What is left to do for a dataset; `begun`: a stream of this run may have been cut."""

    plan: DatasetPlan
    begun: bool = False

    def following(self, step: RenameCopy) -> Left:
        """The same after a copy was renamed: where both sides stand has another name, here or below."""
        common = self.plan.common
        if common is None:
            return self
        copy = common.copy._replace(dataset=name_after(common.copy.dataset, step.old, step.new))
        return replace(self, plan=replace(self.plan, common=replace(common, copy=copy)))


def wanted(plan: ReplicationPlan) -> Holds:
    """What is to be held before the first stream: all that is sent, each base, and the base's copy."""
    return _union(_wanted(dataset) for dataset in plan.datasets)


def needed(left: Left) -> Holds:
    """What must stay held when nothing more is done for a dataset now."""
    first = left.plan.transfers[:1]
    cut = first if left.begun or any(isinstance(step, Resume) for step in first) else ()
    return (_ends(left.plan.common) if cut or _unmarked(left.plan) else Holds()) | _sent(step.to for step in cut)


def released(held: Holds, left: Iterable[Left]) -> Holds:
    """Which of the holds are to be taken off. A dataset in conflict keeps its own: nobody can tell what it needs."""
    all_left = tuple(left)
    stuck = tuple(each.plan.replica for each in all_left if each.plan.conflict)
    kept = Holds(
        _of(held.site, {replica.source for replica in stuck}), _of(held.receiver, {replica.target for replica in stuck})
    )
    return held - kept - _union(needed(each) for each in all_left)


def in_use(held: Holds, plan: ReplicationPlan) -> Holds:
    """Which of the holds are of use now: to a run of this plan, or to the next one when that is cut."""
    idle = released(held, (Left(dataset, begun=True) for dataset in plan.datasets)) - wanted(plan)
    return held - idle


def _wanted(plan: DatasetPlan) -> Holds:
    based = plan.transfers or _unmarked(plan)
    return (_ends(plan.common) if based else Holds()) | _sent(step.to for step in plan.transfers)


def _unmarked(plan: DatasetPlan) -> bool:
    """Whether no bookmark stands for the base, nor will by a step of the plan: its name may be too long."""
    common = plan.common
    marks = {step.snapshot.guid for step in plan.steps if isinstance(step, Mark)}
    return common is not None and not common.bookmarked and common.ours.guid not in marks


def _ends(common: Common | None) -> Holds:
    if common is None:
        return Holds()
    return _sent([common.ours] if isinstance(common.ours, Snapshot) else []) | Holds(
        receiver=frozenset({str(common.copy)})
    )


def _sent(snapshots: Iterable[Snapshot]) -> Holds:
    return Holds(site=frozenset(map(str, snapshots)))


def _renamed(snapshot: str, step: RenameCopy) -> str:
    dataset, sign, name = snapshot.partition("@")
    return f"{name_after(dataset, step.old, step.new)}{sign}{name}"


def _of(snapshots: frozenset[str], datasets: set[str]) -> frozenset[str]:
    return frozenset(name for name in snapshots if name.partition("@")[0] in datasets)


def _union(parts: Iterable[Holds]) -> Holds:
    return reduce(Holds.__or__, parts, Holds())
