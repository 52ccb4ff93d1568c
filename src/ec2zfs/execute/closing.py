"""Ends the runs of all datasets together: what arrived is checked by GUID, then the cursors are moved, in one execution
each.

Until then the snapshots are held at both ends, so a run that is killed before loses no base: the next one puts the
cursors right first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ec2zfs.errors import CommandFailed, ReplicationConflict
from ec2zfs.execute.replica_run import ReplicaRun
from ec2zfs.hosts.host import Host
from ec2zfs.model.replication import Replica
from ec2zfs.tools.zfs import Zfs


def check(receiver: Host, runs: Iterable[ReplicaRun]) -> dict[Replica, ReplicationConflict]:
    """Both commands of each stream were content: the newest snapshot must stand there, under its name and with its
    GUID. Returns what is wrong, by the replica.
    """
    sent = [(run.plan.replica, run.unchecked) for run in runs if run.unchecked]
    copies = {replica: f"{step.replica.target}@{step.to.name}" for replica, step in sent}
    found = Zfs(receiver).guids(copies.values()) if sent else {}
    return {
        replica: ReplicationConflict(
            f"On {receiver.name}, {copies[replica]} should have the GUID {step.to.guid} of {step.to}, but "
            f"{f'has {there}' if (there := found.get(copies[replica])) else 'does not exist'}.",
            hint="Run again: the plan compares both sides anew.",
        )
        for replica, step in sent
        if found.get(copies[replica]) != step.to.guid
    }


def mark(site: Host, runs: Iterable[ReplicaRun]) -> None:
    """Move the cursors. One that cannot be moved is told, but harms no copy: the snapshot itself is still the base."""
    marked = [(run, run.unmarked) for run in runs if run.unmarked]
    try:
        failed = Zfs(site).mark_all([step for _, step in marked])
    except CommandFailed as error:
        failed = {str(step.snapshot): str(error) for _, step in marked}
    for run, step in marked:
        if (said := failed.get(str(step.snapshot))) is not None:
            run.warnings.append(f"The bookmark {step.cursor} of {step.snapshot} could not be made: {said}")
        elif run.plan.common and run.plan.common.ours.guid == step.snapshot.guid:
            run.plan = replace(run.plan, common=replace(run.plan.common, bookmarked=True))
