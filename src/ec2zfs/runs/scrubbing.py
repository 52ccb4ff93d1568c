"""A scrub on its own: begun and left, waited for, or paused."""

from __future__ import annotations

from ec2zfs.hosts.secret import Secret
from ec2zfs.model.pool import PoolStatus
from ec2zfs.runs.growth import scrub
from ec2zfs.runs.stages import Journal
from ec2zfs.runs.upkeep import UpkeepParts, opened


def scrub_to_its_end(parts: UpkeepParts, key: Secret | None, journal: Journal) -> PoolStatus:
    """Begin a scrub, or take up the one that was paused or cut off, and wait for its end; the pool after it.

    Raises `PoolUnwell` when it found errors.
    """
    with opened(parts, key, journal) as pool:
        scrub(pool, journal)
        return pool.status()
