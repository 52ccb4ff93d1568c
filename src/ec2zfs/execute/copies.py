"""Readies the copies of a pool before the first stream: marks those that bear no mark yet, and lets those step aside
that stand where others belong.

What fails here is told and stops nothing: a dataset whose copy could not step aside meets that when its turn comes.
"""

from __future__ import annotations

from ec2zfs.errors import CommandFailed
from ec2zfs.execute.holds import HoldKeeper
from ec2zfs.execute.progress import Progress
from ec2zfs.hosts.host import Host
from ec2zfs.plan.replication import ReplicationPlan
from ec2zfs.tools import zfs_repair
from ec2zfs.tools.zfs_identity import identify


def ready_copies(receiver: Host, plan: ReplicationPlan, keeper: HoldKeeper, progress: Progress) -> tuple[str, ...]:
    """Put the marks on in one execution, then do the renames one by one; nothing where there are none.

    Returns what went wrong, a sentence each. Raises `HostError` when the receiver is gone.
    """
    warnings = list[str]()
    try:
        identify(receiver, plan.marks)
    except CommandFailed as error:
        warnings.append(f"Copies could not be marked as those of their sources: {error}")
    for step in plan.partings:
        progress.say(str(step))
        try:
            zfs_repair.rename(receiver, step.old, step.new)
        except CommandFailed as error:
            warnings.append(f"{step.old} could not make room for the copy that belongs there: {error}")
        else:
            keeper.follow(step)
    return tuple(warnings)
