"""Snapshots of a real directory for tests without ZFS: copies that tell the numbers and times of their original.

A photograph is a directory like any other, with the files' contents, names, links and metadata; only inodes and times
of the last change, which no copy can have, it remembers. `diff` tells what `zfs diff` would of two of them.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from ec2zfs.errors import Unreadable
from ec2zfs.model.tree import Child, Difference, DifferenceKind, FileKind, Node, below
from ec2zfs.staging.records import Meta
from ec2zfs.staging.snapshot_tree import SnapshotTree

_TICK_SECONDS = 0.006
"""Longer than the kernel's clock for file times stands still, so that what comes after a photograph is later."""


@dataclass(frozen=True)
class Known:
    """What a photograph remembers of an object."""

    inode: int
    changed: int
    kind: FileKind


@dataclass
class Album:
    """Photographs of one directory."""

    live: Path
    copies: Path
    known: dict[Path, dict[bytes, Known]] = field(default_factory=dict)
    unreadable: set[bytes] = field(default_factory=set)
    """Paths of files whose content no photograph gives away."""
    closed: set[bytes] = field(default_factory=set)
    """Paths of what no photograph tells the attributes of."""

    def take(self) -> Path:
        """Take one; its directory."""
        copy = self.copies / f"{len(self.known)}"
        with SnapshotTree(self.live) as tree:
            self.known[copy] = {path: Known(n.inode, n.changed, n.kind) for path, n in _nodes(tree)}
        subprocess.run(["cp", "-a", "--sparse=always", self.live, copy], check=True)
        time.sleep(_TICK_SECONDS)
        return copy

    def tree(self, directory: Path) -> SnapshotTree:
        """A photograph as a `Tree`; to stand in the place of `SnapshotTree`."""
        return _Photograph(directory, self) if directory in self.known else SnapshotTree(directory)

    def diff(self, old: Path, new: Path) -> Iterator[Difference]:
        """What `zfs diff` says: in the order of the objects' numbers, one path an object."""
        before, after = _by_inode(self.known[old]), _by_inode(self.known[new])
        for inode in sorted({*before, *after}):
            was, now = before.get(inode), after.get(inode)
            if was and now and was[0].kind is now[0].kind:
                yield from _changed(was, now)
                continue
            if was:
                yield Difference(DifferenceKind.REMOVED, was[0].kind, was[1][-1], was[1][-1])
            if now:
                yield Difference(DifferenceKind.ADDED, now[0].kind, now[1][-1], now[1][-1])


class _Photograph(SnapshotTree):
    def __init__(self, root: Path, album: Album) -> None:
        super().__init__(root)
        self._known = album.known[root]
        self._album = album

    def place(self, path: bytes) -> str:
        return super().place(path) + ("/unreadable" if path in self._album.unreadable else "")

    def children(self, directory: bytes) -> dict[bytes, Child] | None:
        found = super().children(directory)
        if found is None:
            return None
        return {name: Child(self._known[below(directory, name)].inode, each.kind) for name, each in found.items()}

    def node(self, path: bytes) -> Node | None:
        found = super().node(path)
        if found is None:
            return None
        return replace(found, inode=self._known[path].inode, changed=self._known[path].changed)

    def meta(self, path: bytes) -> Meta:
        if path in self._album.closed:
            raise Unreadable(f"The attributes of {self.shown(path)} cannot be read: Input/output error.")
        return super().meta(path)._replace(inode=self._known[path].inode)


def _nodes(tree: SnapshotTree) -> Iterator[tuple[bytes, Node]]:
    ahead = [b""]
    while ahead:
        path = ahead.pop()
        node = tree.node(path)
        assert node is not None, path
        yield path, node
        if node.kind is FileKind.DIRECTORY:
            ahead += [below(path, name) for name in tree.children(path) or {}]


def _by_inode(known: dict[bytes, Known]) -> dict[int, tuple[Known, list[bytes]]]:
    found: dict[int, tuple[Known, list[bytes]]] = {}
    for path, each in sorted(known.items()):
        found.setdefault(each.inode, (each, []))[1].append(path)
    return found


def _changed(was: tuple[Known, list[bytes]], now: tuple[Known, list[bytes]]) -> Iterator[Difference]:
    (before, old), (after, new) = was, now
    if before.changed == after.changed:
        return
    if old == new or len(old) != len(new):
        went = [path for path in old if path not in new]
        told = went if went and len(new) < len(old) else new  # as real ZFS tells of what has fewer names than before
        yield Difference(DifferenceKind.MODIFIED, after.kind, told[-1], told[-1])
    else:
        yield Difference(DifferenceKind.RENAMED, after.kind, old[-1], new[-1])
