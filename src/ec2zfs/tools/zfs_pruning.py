"""`zfs list` of single snapshots and `zfs destroy` of those that are ours, in one execution for all of them.

Nothing is destroyed whose GUID and whose mark, a user property of ours, are not what they were when it was decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ec2zfs.hosts.host import Host
from ec2zfs.model.snapshot import Snapshot
from ec2zfs.plan.pruning import DestroySnapshots, Particulars
from ec2zfs.tools.zfs_scripts import zfs_script

LIMIT = 3600.0
"""Seconds: each `zfs destroy` waits for a transaction group, and there may be thousands of datasets."""

SOME_FAILED = 123
"""xargs's exit code when one of the commands failed: here a snapshot that is gone."""


@dataclass(frozen=True)
class Destruction:
    """What became of one action: done with so many bytes freed, or why not; no `words` when the snapshots changed."""

    destroyed: bool
    bytes: int | None = None
    words: str = ""


def particulars(host: Host, snapshots: Sequence[Snapshot], marked_by: str) -> dict[str, Particulars]:
    """What ZFS says of each snapshot that is still there, by its full name. `marked_by` is the property of ours."""
    if not snapshots:
        return {}
    columns = f"name,guid,userrefs,clones,used,{marked_by}"
    names = (str(snapshot) for snapshot in snapshots)
    command = zfs_script("zfs_each.sh", "list", "-Hp", "-t", "snapshot", "-o", columns, stdin=names, timeout=LIMIT)
    rows = (line.split("\t") for line in host.run(replace(command, accept=frozenset({0, SOME_FAILED}))).lines())
    return {
        name: Particulars(int(guid), int(holds), _told(clones), int(used), _told(mark))
        for name, guid, holds, clones, used, mark in rows
    }


def destroy(host: Host, actions: Sequence[DestroySnapshots], *, preview: bool) -> list[Destruction]:
    """Destroy, or with `preview` only ask what it would free; one answer for each action."""
    if not actions:
        return []
    (marked_by,) = {action.marked_by for action in actions}
    words = (marked_by, "-n") if preview else (marked_by,)
    script = zfs_script("zfs_destroy.sh", *words, stdin=map(_line, actions), timeout=LIMIT)
    return [_destruction(*line.split("\t")) for line in host.run(script).lines()]


def _line(action: DestroySnapshots) -> str:
    names = ",".join(verdict.snapshot.name for verdict in action.verdicts)
    meant = (f"{verdict.snapshot.guid}:{mark}" for verdict, mark in zip(action.verdicts, action.marks, strict=True))
    return f"{action.dataset}@{names}\t{','.join(sorted(meant))}"


def _destruction(outcome: str, words: str = "") -> Destruction:
    if outcome == "destroyed":
        return Destruction(destroyed=True, bytes=int(words) if words.isdecimal() else None)
    return Destruction(destroyed=False, words=words.strip())


def _told(value: str) -> str:
    return "" if value == "-" else value
