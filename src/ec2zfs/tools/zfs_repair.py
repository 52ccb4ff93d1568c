"""The `zfs` commands that take something away from a copy or rename it, and what must be known before: the bytes.

Used by the verb `repair` alone, but for `rename`. Snapshots are destroyed by name, never by a range, and never
with `-r` or `-R`: what has clones or holds is refused by ZFS itself (fact 48).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ec2zfs.hosts.host import Command, Host
from ec2zfs.model.snapshot import Snapshot
from ec2zfs.tools.zfs import LISTING_LIMIT

AT_ONCE = 300
"""Snapshots in one command: a word of an argv holds 128 KiB, and one change to the pool should stay a short one."""


def reclaimed(host: Host, snapshots: Sequence[Snapshot]) -> int | None:
    """Bytes that are freed when they are destroyed together; None where ZFS cannot tell, or there are too many."""
    if not snapshots:
        return 0
    if len(snapshots) > AT_ONCE:
        return None
    words = ("zfs", "destroy", "-vp", "-n", _together(snapshots))
    told = host.run(Command(words, timeout=LISTING_LIMIT, accept=frozenset({0, 1}))).lines()
    return next((int(line.split("\t")[1]) for line in told if line.startswith("reclaim\t")), None)


def destroy(host: Host, snapshots: Sequence[Snapshot]) -> None:
    """Destroy these snapshots of one dataset and no other, the newest first. `CommandFailed` with clones or holds."""
    for part in _parts(snapshots[::-1]):
        host.run(Command.of("zfs", "destroy", _together(part), timeout=LISTING_LIMIT))


def roll_back(host: Host, snapshot: Snapshot) -> None:
    """Discard what was written since the snapshot; `CommandFailed` when it is not the newest one."""
    host.run(Command.of("zfs", "rollback", str(snapshot), timeout=LISTING_LIMIT))


def rename(host: Host, old: str, new: str) -> None:
    """Give a dataset another name, with all below it; what is above the new name must be there."""
    host.run(Command.of("zfs", "rename", old, new, timeout=LISTING_LIMIT))


def _parts(snapshots: Sequence[Snapshot]) -> Iterator[Sequence[Snapshot]]:
    return (snapshots[start : start + AT_ONCE] for start in range(0, len(snapshots), AT_ONCE))


def _together(snapshots: Sequence[Snapshot]) -> str:
    """`cloud/tank@one,two`: exactly these."""
    return f"{snapshots[0].dataset}@{','.join(snapshot.name for snapshot in snapshots)}"
