"""What the daily run does for the pool itself: it joins a resilver that is under way, and does what has become due."""

from __future__ import annotations

from collections.abc import Sequence

from ec2zfs.model.volume import Volume
from ec2zfs.plan.growth import plan_due
from ec2zfs.plan.replacement import await_resilver, retirement
from ec2zfs.runs.expiry import expire
from ec2zfs.runs.growth import expand
from ec2zfs.runs.stages import Journal
from ec2zfs.runs.upkeep import OpenPool, replacement_under_way


def settle(pool: OpenPool, volumes: Sequence[Volume], journal: Journal) -> None:
    """Wait for a resilver, put aside what it replaced, enlarge what EC2 takes now, delete what was kept long enough.

    `volumes` are the pool's as they stood before. With nothing to do it costs one look. Raises `PoolUnwell` when the
    pool is not healthy after the resilver.
    """
    if pool.status().resilvering or replacement_under_way(volumes):
        with journal.stage("wait for the resilver") as stage:
            standing = pool.observe()
            while step := await_resilver(standing) or retirement(standing):
                pool.carry_out(step)
                standing = pool.observe()
            stage.outcome = standing.pool.scan.line if standing.pool.scan else "nothing was to be resilvered"
    if any(volume.schedule for volume in volumes):
        _enlarge_due(pool, journal)
    if any(volume.retirement for volume in volumes):
        expire(pool, journal)


def _enlarge_due(pool: OpenPool, journal: Journal) -> None:
    standing = pool.observe()
    due = plan_due(standing)
    if not due:
        return
    with journal.stage("enlarge the volumes that EC2 would not sooner") as stage:
        pool.carry_out(due)
        stage.outcome = f"{len(due)} volumes"
    expand(pool, journal)
