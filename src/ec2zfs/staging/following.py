"""Does to the folder what happened to the source between two snapshots, step by step, and tells the manifest of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

from ec2zfs.encryption.interface import Task
from ec2zfs.model.tree import Child, FileKind, Node, Tree, name, parent
from ec2zfs.plan.tree_changes import Describe, Link, Make, Place, Remove, Renew, Step, StepAside, Stray, changes
from ec2zfs.plan.tree_comparison import Names
from ec2zfs.plan.tree_hints import Hints
from ec2zfs.plan.tree_names import NameList, numbered
from ec2zfs.staging.records import Gone, Named, Record, Unnamed
from ec2zfs.staging.snapshot_tree import SnapshotTree
from ec2zfs.staging.store import Store


class Following:
    """The way from `old` to `new`. In a base the manifest is told of contents only: the tree is stated anyway."""

    def __init__(self, old: SnapshotTree, new: SnapshotTree, store: Store, *, base: bool) -> None:
        self._old = old
        self._new = new
        self._store = store
        self._base = base

    def tasks(self, names: Names, hints: Hints, astray: Collection[int]) -> Iterator[Task]:
        """Take every step, and ask for each file that is to be encrypted meanwhile."""
        self._renamed(names, hints)
        for step in changes(names, self._old, self._new, astray):
            yield from self._taken(step, hints)

    def _renamed(self, names: Names, hints: Hints) -> None:
        """Tell of the names: first what went, and last what came."""
        for directory, path, _ in _with_directories(names.lost, self._old):
            self._tell(Unnamed(directory, name(path)))
            self._store.tally.missed += not _is_told(hints.old, path)
        for inode, kind in self._gone(names):
            self._tell(Gone(inode))
            self._store.tally.removed += 1
            if kind is FileKind.FILE:
                self._store.remove(inode)
        for directory, path, child in _with_directories(names.gained, self._new):
            self._tell(Named(directory, name(path), child.inode))
            self._store.tally.missed += not _is_told(hints.new, path)

    def _gone(self, names: Names) -> Iterator[tuple[int, FileKind]]:
        """The objects that lost their last name, as far as was looked."""
        came = set(names.gained.numbers())
        lost = Counter[Child]()
        for path, child in names.lost:
            if numbered(child) in came:
                continue
            node = None if child.kind is FileKind.DIRECTORY else self._old.node(path)
            if node is not None and node.links > 1:
                lost[child] += 1
                if lost[child] < node.links:
                    continue
            yield child.inode, child.kind

    def _taken(self, step: Step, hints: Hints) -> Iterator[Task]:
        view = self._store.view
        match step:
            case StepAside(path, Child(inode, FileKind.DIRECTORY)):
                view.set_aside(path, inode)
            case Remove(path, Child(_, FileKind.DIRECTORY | FileKind.FILE)):
                view.remove(path)
            case Make(path, Child(_, FileKind.DIRECTORY)):
                view.make(path)
            case Make(path, child):
                self._describe(path)
                yield from self._encrypted(path, child)
            case Place(path, child):
                self._store.tally.moved += 1
                self._placed(path, child)
            case Link(path, to):
                self._linked(path, self._new.node(to))
            case Renew(path, old, _):
                self._store.tally.missed += not (_is_told(hints.old, old) or _is_told(hints.new, path))
                self._describe(path)
                yield from self._renewed(path, old)
            case Stray(inode):
                self._store.log.astray(inode)
            case Describe(path):
                self._describe(path)

    def _placed(self, path: bytes, child: Child) -> None:
        if child.kind is FileKind.DIRECTORY:
            self._store.view.place(path, child.inode)
        elif child.kind is FileKind.FILE:
            self._store.show(path, child.inode)

    def _linked(self, path: bytes, node: Node | None) -> None:
        if node is not None and node.kind is FileKind.FILE:
            self._store.show(path, node.inode)

    def _renewed(self, path: bytes, by: bytes) -> Iterator[Task]:
        """Encrypt a file again if its content is another, or may be: a time of modification can be set back."""
        old, new = self._old.node(by), self._new.node(path)
        if old is None or new is None or new.kind is not FileKind.FILE:
            return
        is_from_old = self._store.changed(new.inode) == old.changed
        looks_same = (old.size, old.modified) == (new.size, new.modified)
        if is_from_old and looks_same and self._new.same_content(path, self._old, by):
            self._store.mark(new)
        else:
            yield self._store.task(path, new, all_names=False)

    def _encrypted(self, path: bytes, child: Child) -> Iterator[Task]:
        node = self._new.node(path) if child.kind is FileKind.FILE else None
        if node is not None:
            yield self._store.task(path, node, all_names=True)

    def _describe(self, path: bytes) -> None:
        if not self._base:
            self._store.describe(path)

    def _tell(self, record: Record) -> None:
        if not self._base:
            self._store.log.write(record)


def _with_directories(names: NameList, tree: Tree) -> Iterator[tuple[int, bytes, Child]]:
    """Each name with the inode of its directory; those of one directory come together."""
    place, inode = None, 0
    for path, child in names:
        if parent(path) != place:
            place = parent(path)
            node = tree.node(place)
            assert node is not None, path  # noqa: S101 - the name was read in it
            inode = node.inode
        yield inode, path, child


def _is_told(side: dict[bytes, set[bytes] | None], path: bytes) -> bool:
    names = side.get(parent(path), set())
    return names is None or name(path) in names
