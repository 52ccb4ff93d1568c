"""Destroys the snapshots that a tier does not keep: those that `ec2zfs` made, after ZFS was asked about each again.

What cannot be destroyed is told and harms nothing: the next pruning tries again. It never rolls back, and never
destroys a dataset, a clone or what is held.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ec2zfs.hosts.host import Host
from ec2zfs.model.snapshot import Dataset
from ec2zfs.plan.pruning import DestroySnapshots, TierRules, candidates, destructions, spared
from ec2zfs.plan.retention import Verdict
from ec2zfs.tools.zfs_pruning import Destruction, destroy, particulars


@dataclass(frozen=True)
class PruningPlan:
    """What is to go, and what the rules gave up but something else keeps."""

    actions: tuple[DestroySnapshots, ...]
    spared: tuple[Verdict, ...] = ()

    @property
    def count(self) -> int:
        """How many snapshots go."""
        return sum(len(action.verdicts) for action in self.actions)


@dataclass(frozen=True)
class Pruned:
    """What became of a plan: snapshots that went, the bytes that this freed, and what went wrong, a line each."""

    count: int
    bytes: int
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.count} snapshots destroyed, {self.bytes:,} bytes freed"


def plan_pruning(host: Host, datasets: Sequence[Dataset], rules: TierRules, now: datetime) -> PruningPlan:
    """Judge the datasets' snapshots, and ask the host about those that would go, in one execution."""
    given_up = candidates(datasets, rules, now)
    found = particulars(host, [verdict.snapshot for verdict in given_up], rules.marked_by)
    judged = [verdict for each in given_up if (verdict := spared(each, found))]
    return PruningPlan(
        tuple(destructions(judged, found, rules.marked_by)), tuple(verdict for verdict in judged if verdict.kept)
    )


def freed(host: Host, plan: PruningPlan) -> list[int | None]:
    """The bytes that each action would free; None where ZFS does not say. Destroys nothing."""
    return [each.bytes for each in destroy(host, plan.actions, preview=True)]


def prune(host: Host, plan: PruningPlan) -> Pruned:
    """Carry a plan out, in one execution."""
    done = destroy(host, plan.actions, preview=False)
    ended = [(action, each) for action, each in zip(plan.actions, done, strict=True) if each.destroyed]
    failed = (_warning(action, each) for action, each in zip(plan.actions, done, strict=True) if not each.destroyed)
    return Pruned(
        sum(len(action.verdicts) for action, _ in ended), sum(each.bytes or 0 for _, each in ended), tuple(failed)
    )


def _warning(action: DestroySnapshots, ended: Destruction) -> str:
    why = f"ZFS said: {ended.words}" if ended.words else "they are not what they were a moment ago"
    return f"{len(action.verdicts)} snapshots of {action.dataset} could not be destroyed, {why}."
