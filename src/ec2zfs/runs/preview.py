"""What the next run would do, as far as it can be seen while the pool is locked. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ec2zfs.execute.pruning import PruningPlan
from ec2zfs.execute.replication import preview
from ec2zfs.plan.due import TakeSnapshot
from ec2zfs.plan.receiver import ReceiverAction
from ec2zfs.plan.replication import ReplicationPlan
from ec2zfs.plan.staging import StagingPlan
from ec2zfs.plan.volumes import current
from ec2zfs.runs.backup import BackupParts
from ec2zfs.runs.upkeep import replacement_under_way, require_volumes


@dataclass(frozen=True)
class BackupPreview:
    """The run as a list of what would happen. `replication` is judged from the site's cursors alone, `pruning` and
    `staging` (None: nothing is staged) without the snapshots that are to be taken."""

    snapshots: tuple[TakeSnapshot, ...]
    receiver: tuple[ReceiverAction, ...]
    volumes: int
    volume_gib: Mapping[str, int]
    replication: ReplicationPlan
    pruning: PruningPlan
    staging: StagingPlan | None = None
    ending: str = "lock the pool, stop the receiver, prune the site"

    @property
    def bytes(self) -> int:
        """Estimated stream bytes: what is pending, and what was written since the newest snapshots."""
        return self.replication.bytes + sum(dataset.unsent_bytes for dataset in self.replication.datasets)

    @property
    def uncounted(self) -> str:
        """What is sent besides, of a size that is known only then; nothing without staging."""
        comes = self.staging is not None and (self.staging.steps or self.snapshots)
        return "what is staged first: its encryption tells its size" if comes else ""


def preview_backup(parts: BackupParts, now: datetime, at_once: str | None = None) -> BackupPreview:
    """Look at both sides and say what a run would do. Raises what the run itself would raise at its beginning."""
    volumes = require_volumes(parts.upkeep)
    sizes: dict[str, int] = {}
    for volume in volumes:
        sizes[volume.type] = sizes.get(volume.type, 0) + volume.size_gib
    return BackupPreview(
        parts.site.due(now, at_once),
        parts.upkeep.receiver.starting(on_demand=replacement_under_way(volumes)),
        len(current(volumes)),
        sizes,
        preview(parts.site.host, parts.site.sent_sources, parts.upkeep.design.name, parts.site.sent(lambda: now)),
        parts.site.plan_pruning(now),
        parts.staging.plan(now) if parts.staging else None,
    )
