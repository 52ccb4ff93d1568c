"""`ec2zfs repair`: the pool is opened, both sides of one dataset are compared, and its conflict is got out of the way.

The only run that rolls a copy back. What it would do is shown and confirmed before; killed at any moment and run again
it looks again and ends as if nothing had been.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ec2zfs.execute.reconciliation import Reconciler
from ec2zfs.execute.replication import Replicator
from ec2zfs.hosts.host import Host
from ec2zfs.hosts.secret import Secret
from ec2zfs.model.replication import Replica
from ec2zfs.model.source import Source
from ec2zfs.plan.conflicts import Conflict
from ec2zfs.plan.reconciliation import Remedy, dataset_plan, plan_remedy
from ec2zfs.plan.replication import plan_replication
from ec2zfs.runs.stages import Journal
from ec2zfs.runs.upkeep import UpkeepParts, opened


@dataclass(frozen=True)
class ReconciliationParts:
    """What the run works with. `replicator` is made for the receiver that is up."""

    sources: tuple[Source, ...]
    upkeep: UpkeepParts
    replicator: Callable[[Host], Replicator]


@dataclass(frozen=True)
class Wish:
    """Whose conflict is to go, by the name of the source or the copy, and whether the copy must be kept as it is."""

    dataset: str
    set_aside: bool = False


@dataclass(frozen=True)
class Finding:
    """What stands between a source and its copy, and what would be done. Both are None where nothing is in the way.

    `freed`: bytes of the snapshots that would go, None if not known.
    """

    replica: Replica
    conflict: Conflict | None = None
    remedy: Remedy | None = None
    freed: int | None = None


def reconcile(
    parts: ReconciliationParts, wish: Wish, key: Secret | None, journal: Journal, agreed: Callable[[Finding], bool]
) -> Finding:
    """Show `agreed` what would be done and, where that says so, do it; returns what was found.

    Receiver and pool are in the end as they were before. Raises `Refused` for what is no dataset of ours, cannot be
    repaired at the copy, is held by others, or changed while the operator was asked.
    """
    with opened(parts.upkeep, key, journal) as pool:
        reconciler = Reconciler(pool.host)
        with journal.stage("compare") as stage:
            finding = _found(parts, wish, reconciler, journal)
            stage.outcome = str(finding.conflict or f"nothing stands between {finding.replica.source} and its copy")
        if finding.remedy and agreed(finding):
            with journal.stage("repair") as stage:
                reconciler.carry_out(finding.remedy)
                stage.outcome = str(finding.remedy)
    return finding


def _found(parts: ReconciliationParts, wish: Wish, reconciler: Reconciler, journal: Journal) -> Finding:
    replicator = parts.replicator(reconciler.receiver)
    state = replicator.observe(parts.sources, thorough=True)
    plan = dataset_plan(plan_replication(replicator.selection.among(state)), wish.dataset)
    if plan.conflict is None:
        return Finding(plan.replica)
    remedy = plan_remedy(plan.conflict, state, journal.now(), set_aside=wish.set_aside)
    reconciler.require_unheld(remedy)
    return Finding(plan.replica, plan.conflict, remedy, reconciler.freed(remedy))
