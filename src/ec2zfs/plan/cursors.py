"""Cursor bookmarks: they mark, at the source, the last snapshot that a pool has, so that it stays the base of
increments even when the snapshot itself is gone (fact 37). Only bookmarks with a name of ours are called outdated.
"""

from __future__ import annotations

import re
from dataclasses import replace

from ec2zfs.model.replication import ReplicationState, target_name
from ec2zfs.model.snapshot import Bookmark, Dataset, Snapshot
from ec2zfs.plan.conflicts import LONGEST_NAME
from ec2zfs.plan.replication_steps import Mark


def cursor_name(pool: str, guid: int) -> str:
    """The name of the bookmark that says "the pool has the snapshot with this GUID"."""
    return f"ec2zfs_{pool}_{guid:016x}"


def cursors(source: Dataset, pool: str) -> tuple[Bookmark, ...]:
    """The bookmarks of the source that were made for this pool, oldest first."""
    ours = re.compile(rf"ec2zfs_{re.escape(pool)}_[0-9a-f]{{16}}")
    return tuple(bookmark for bookmark in source.bookmarks if ours.fullmatch(bookmark.name))


def mark(snapshot: Snapshot, pool: str, existing: tuple[Bookmark, ...]) -> Mark | None:
    """What makes this snapshot's bookmark the only cursor of the pool; None if it is, or if its name is too long."""
    name = cursor_name(pool, snapshot.guid)
    names = tuple(bookmark.name for bookmark in existing)
    if names == (name,) or len(f"{snapshot.dataset}#{name}".encode()) > LONGEST_NAME:
        return None
    return Mark(snapshot, name, tuple(other for other in names if other != name))


def expected_state(pool: str, sources: tuple[Dataset, ...]) -> ReplicationState:
    """What the pool most probably holds, judged from the source's cursors alone: for a preview while it is locked."""
    targets = (_expected_target(pool, source) for source in sources)
    return ReplicationState(pool, sources, tuple(target for target in targets if target))


def _expected_target(pool: str, source: Dataset) -> Dataset | None:
    marked = cursors(source, pool)
    if not marked:
        return None
    name, newest = target_name(pool, source.name), marked[-1]
    snapshot = Snapshot(name, newest.name, newest.guid, newest.createtxg)
    return replace(
        source, name=name, snapshots=(snapshot,), bookmarks=(), written=0, partial=None, held_for=(), send=""
    )
