"""States the whole tree in the manifest, and looks at every object and name: what is not as it should be, is mended.

So a folder begins, so its manifest begins again for other recipients, and so what an earlier run was not told of comes
to light.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterator

from ec2zfs.encryption.interface import Task
from ec2zfs.model.tree import Child, FileKind, below
from ec2zfs.staging.folder import SHARDS, Folder, object_numbers
from ec2zfs.staging.records import Named
from ec2zfs.staging.snapshot_tree import SnapshotTree
from ec2zfs.staging.store import Store


class Base:
    """The walk through the whole tree `source`. `expected` is what is to be encrypted anyway; None: everything."""

    def __init__(self, place: Folder, source: SnapshotTree, store: Store, expected: Collection[int] | None) -> None:
        self._place = place
        self._source = source
        self._store = store
        self._expected = expected
        self._files = array("Q")
        self._linked = set[Child]()

    def tasks(self) -> Iterator[Task]:
        """Take the walk, and ask for each file that is to be encrypted meanwhile."""
        root = self._source.node(b"")
        assert root is not None, "the root was opened"  # noqa: S101
        self._store.describe(b"")
        ahead = [(b"", root.inode)]
        while ahead:
            directory, number = ahead.pop()
            children = self._source.children(directory) or {}
            self._store.tally.mended += self._store.view.prune(directory, children)
            for name, child in children.items():
                path = below(directory, name)
                self._store.log.write(Named(number, name, child.inode))
                if child.kind is FileKind.DIRECTORY:
                    self._store.view.make(path)
                    self._store.describe(path)
                    ahead.append((path, child.inode))
                else:
                    yield from self._object(path, child)

    def remove_others(self) -> None:
        """Remove the objects of files that are no more, when all that was asked for is encrypted."""
        files = array("Q", sorted(self._files))
        for shard in SHARDS:
            for inode in object_numbers(self._place, shard):
                at = bisect_left(files, inode)
                if at == len(files) or files[at] != inode:
                    self._store.tally.mended += self._store.remove(inode)

    def _object(self, path: bytes, child: Child) -> Iterator[Task]:
        node = self._source.node(path)
        if node is None:
            return  # a snapshot does not change; were it so, `describe` would say it
        if child in self._linked:
            if child.kind is FileKind.FILE:
                self._store.show(path, child.inode)
            return
        if node.links > 1:
            self._linked.add(child)
        self._store.describe(path)
        if child.kind is FileKind.FILE:
            self._files.append(child.inode)
            if self._store.changed(child.inode) == node.changed:
                self._store.tally.mended += self._store.show(path, child.inode)
            elif child.inode not in self._store.unreadable:
                self._store.tally.mended += self._expected is not None and child.inode not in self._expected
                yield self._store.task(path, node, all_names=True)
