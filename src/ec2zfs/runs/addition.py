"""Adding vdevs to the pool, until it has as many as the configuration says."""

from __future__ import annotations

from functools import partial

from ec2zfs.hosts.secret import Secret
from ec2zfs.model.pool import PoolStatus
from ec2zfs.plan.addition import plan_addition
from ec2zfs.plan.attachment import RESERVED, require_attachable
from ec2zfs.plan.replacement import Want
from ec2zfs.runs.stages import Journal
from ec2zfs.runs.upkeep import UpkeepParts, opened


def require_room(parts: UpkeepParts) -> None:
    """Raise `Refused` when the whole layout would not fit on the receiver, with an attachment to spare."""
    require_attachable(parts.design.layout.volumes, parts.instance_type(), reserve=RESERVED)


def add_vdevs(parts: UpkeepParts, want: Want, key: Secret | None, journal: Journal) -> PoolStatus:
    """Add what is missing; returns the pool as it was before it was locked.

    Raises `Refused` when the layout would not fit on the receiver, or when a vdev would be of another shape.
    """
    require_room(parts)
    with opened(parts, key, journal) as pool, journal.stage("add vdevs") as stage:
        before = pool.observe().pool
        after = pool.work(partial(plan_addition, want)).pool
        stage.outcome = f"{len(before.vdevs)} vdevs before, {len(after.vdevs)} now"
    return after
