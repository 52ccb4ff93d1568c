"""Gives the copies the properties of their sources, after the streams. It mounts and destroys nothing.

What is not done, since a run was killed or ZFS refused, is seen as a difference by the next run.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from ec2zfs.errors import CommandFailed, HostError, Refused
from ec2zfs.execute.crew import side_by_side
from ec2zfs.execute.progress import Progress
from ec2zfs.execute.replication_report import DatasetReport
from ec2zfs.hosts.host import Host
from ec2zfs.model.properties import SeenProperties
from ec2zfs.model.snapshot import Dataset
from ec2zfs.plan.replication import ReplicationPlan
from ec2zfs.plan.replication_steps import KeepProperties
from ec2zfs.tools import zfs_properties


@dataclass(frozen=True)
class Kept:
    """What was changed on the copies, and what could not be, a sentence each."""

    changes: tuple[KeepProperties, ...] = ()
    warnings: tuple[str, ...] = ()


def seen_properties(
    site: Host, sources: Sequence[Dataset], receiver: Host | None = None, copies: Sequence[Dataset] = ()
) -> SeenProperties:
    """What is set on both sides, in one execution each; without a receiver, at the site alone."""
    ours, theirs = side_by_side(
        lambda: zfs_properties.settings(site, (each.name for each in sources)),
        lambda: zfs_properties.settings(receiver, (each.name for each in copies)) if receiver else {},
    )
    return SeenProperties(ours, theirs)


def withdraw_notes(receiver: Host, outdated: Sequence[KeepProperties]) -> None:
    """Withdraw notes that will hold no more, in one execution or none. Raises `Refused` when ZFS does not let us."""
    if refused := zfs_properties.keep(receiver, outdated):
        raise Refused(
            f"On {receiver.name} a note of an earlier run cannot be withdrawn, so nothing was done: {refused[0]}.",
            hint="What ZFS says tells why; the next run begins with it.",
        )


def write_notes(receiver: Host, plan: ReplicationPlan) -> None:
    """Write down on the copies, and the pool, what the next run need not look into, in one execution or none. Not being
    able to costs the next run a listing, so nothing is told."""
    with suppress(CommandFailed, HostError):
        zfs_properties.keep(receiver, plan.notes)


def keep_properties(
    receiver: Host, plan: ReplicationPlan, reports: Sequence[DatasetReport], progress: Progress
) -> Kept:
    """Carry out what the plan says of the copies that stand and are without an error, in one execution or none."""
    fine = {each.replica.target: bool(each.sent) for each in reports if not each.error}
    due = [each for each in plan.properties if each.target in fine and (fine[each.target] or not each.begun)]
    for change in due:
        progress.say(str(change))
    try:
        refused = zfs_properties.keep(receiver, due)
    except (CommandFailed, HostError) as error:
        return Kept(warnings=(*plan.passed_over, f"The properties of copies wait for the next run: {error}"))
    return Kept(tuple(due), (*plan.passed_over, *map(str, refused)))
