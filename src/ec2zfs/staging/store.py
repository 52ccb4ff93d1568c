"""The folder's objects, and under which names they are shown: what becomes of a file when its ciphertext is there.

An object bears, as its own time of modification, the time of the last change of the file that it was made of. No
program can set that one back; so an object that is older than its file is seen, though nothing told of the change.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ec2zfs.encryption.interface import Done, Failed, Task
from ec2zfs.encryption.streams import shown, unwritable
from ec2zfs.errors import Unreadable
from ec2zfs.model.tree import Node
from ec2zfs.staging.folder import Folder
from ec2zfs.staging.log import Log
from ec2zfs.staging.report import Tally, UnreadFile
from ec2zfs.staging.snapshot_tree import SnapshotTree
from ec2zfs.staging.view import NoView, View


@dataclass
class _Awaited:
    """A file that is being encrypted, and the names under which its object is to be shown."""

    node: Node
    names: list[bytes] = field(default_factory=list)


class Store:
    """Objects of a folder that is brought to the snapshot `source`. Raises `NoSpace`, or `Unwritable`."""

    def __init__(self, place: Folder, source: SnapshotTree, view: View | NoView, log: Log) -> None:
        self.source = source
        self.view = view
        self.log = log
        self.tally = Tally()
        self.unreadable = set[int]()
        """What was tried, and could not be read."""
        self._place = place
        self._awaited: dict[int, _Awaited] = {}
        self._shards = set[int]()

    def changed(self, inode: int) -> int | None:
        """When the file was changed last that the object was made of, in ns since 1970; None without an object."""
        try:
            return os.lstat(self._place.object(inode)).st_mtime_ns
        except FileNotFoundError:
            return None

    def task(self, path: bytes, node: Node, *, all_names: bool) -> Task:
        """Have a file encrypted that has this name; `took` is to be told the outcome.

        `all_names`: every other name it has comes to `show`. If not, the object stays the same file as its links.
        """
        self._awaited[node.inode] = _Awaited(node, [path])
        if node.links > 1 and not all_names and self.changed(node.inode) is not None:
            return Task(self.source.place(path), str(self._place.unfinished / f"{node.inode:02x}"), replace=True)
        target = self._place.object(node.inode)
        if (shard := node.inode & 0xFF) not in self._shards:
            with self._told(target):
                Path(target).parent.mkdir(mode=0o700, exist_ok=True)
            self._shards.add(shard)
        return Task(self.source.place(path), target, replace=True)

    def took(self, outcome: Done | Failed) -> None:
        """What became of a task. Raises the error of one that failed for another reason than its source."""
        inode = int(outcome.task.target.rpartition("/")[2], 16)
        awaited = self._awaited.pop(inode)
        if isinstance(outcome, Failed):
            if not isinstance(outcome.error, Unreadable):
                raise outcome.error
            self.unread(inode, awaited.names[0], outcome.error)
            return
        target, written = self._place.object(inode), outcome.task.target
        if written != target:
            with self._told(target):
                shutil.copyfile(written, target)
                Path(written).unlink()
        self.mark(awaited.node)
        self.log.stored(inode, outcome)
        self.tally.encrypted += 1
        self.tally.bytes += outcome.read.size
        for path in awaited.names:
            self.view.show(path, target)

    def show(self, path: bytes, inode: int) -> bool:
        """Show an object under a name, as soon as there is one; whether it was not, though it could have been."""
        if inode in self._awaited:
            self._awaited[inode].names.append(path)
            return False
        return self.changed(inode) is not None and self.view.show(path, self._place.object(inode))

    def mark(self, node: Node) -> None:
        """Note that the object has the content of the file as this node tells of it."""
        target = self._place.object(node.inode)
        with self._told(target):
            os.utime(target, ns=(node.changed, node.changed), follow_symlinks=False)

    def remove(self, inode: int) -> bool:
        """Remove an object; whether there was one."""
        target = self._place.object(inode)
        with self._told(target):
            try:
                Path(target).unlink()
            except FileNotFoundError:
                return False
        self.log.removed(inode)
        return True

    def describe(self, path: bytes) -> None:
        """Tell the manifest all about an object but its names and content."""
        try:
            self.log.write(self.source.meta(path))
        except Unreadable as error:
            node = self.source.node(path)
            if node is None:
                raise
            self.unread(node.inode, path, error)

    def unread(self, inode: int, path: bytes, error: Unreadable) -> None:
        """Note that an object of the source could not be read; once, whatever of it could not."""
        if inode in self.unreadable:
            return
        self.unreadable.add(inode)
        self.log.unread(inode, error.message)
        self.tally.unread.append(UnreadFile(path, error.message))

    @contextmanager
    def _told(self, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise unwritable(shown(path), error) from error
