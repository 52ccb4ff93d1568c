"""The end of volumes that were replaced: deleted once they have been out of a healthy pool for their grace time."""

from __future__ import annotations

from ec2zfs.errors import CredentialsError
from ec2zfs.plan.expiry import plan_expiry
from ec2zfs.plan.volumes import DeleteVolume, DetachVolume
from ec2zfs.runs.stages import Journal
from ec2zfs.runs.upkeep import OpenPool


def expire(pool: OpenPool, journal: Journal) -> None:
    """Delete what may be deleted; no stage where there is nothing."""
    actions = plan_expiry(pool.observe(), pool.parts.grace)
    if not actions:
        return
    with journal.stage("delete volumes that were replaced") as stage:
        pool.carry_out(tuple(each for each in actions if isinstance(each, DetachVolume)))
        doomed = tuple(each for each in plan_expiry(pool.observe(), pool.parts.grace) if isinstance(each, DeleteVolume))
        named = ", ".join(f"{each.volume.mapping} ({each.volume.id})" for each in doomed)
        try:
            pool.carry_out(doomed)
        except CredentialsError as error:
            # The daily run's own credentials need no right to delete (docs/security.md), and it is no failure of it.
            stage.outcome = f"these are still there, and may be deleted: {named}. {error}"
        else:
            stage.outcome = named
