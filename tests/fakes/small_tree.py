"""A file system small enough to be edited and photographed by the thousand: objects with numbers, names in directories.

It hands out the numbers of what is gone again, as ZFS does, and its `diff` tells what `zfs diff` would of two of its
snapshots: by object, and a number that came back as another object as removed and added.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from ec2zfs.model.tree import Child, Difference, DifferenceKind, FileKind, Node, below, name, parent

ROOT = 1


@dataclass
class Object:
    """One object; `generation` tells it from one that had its number before, `home` is where it got its last name."""

    kind: FileKind
    generation: int
    modified: int
    changed: int
    content: bytes = b""
    mode: int = 0o644
    links: int = 0
    names: dict[bytes, int] = field(default_factory=dict)
    home: int = ROOT


@dataclass
class SmallTree:
    """The file system; a `copy()` of it is a snapshot, and a `Tree`."""

    objects: dict[int, Object] = field(default_factory=lambda: {ROOT: Object(FileKind.DIRECTORY, 0, 0, 0)})
    clock: int = 0

    def copy(self) -> SmallTree:
        return SmallTree(
            {inode: replace(each, names={**each.names}) for inode, each in self.objects.items()}, self.clock
        )

    # As a Tree

    def children(self, directory: bytes) -> Mapping[bytes, Child] | None:
        inode = self.inode(directory)
        if inode is None or self.objects[inode].kind is not FileKind.DIRECTORY:
            return None
        return {each: Child(found, self.objects[found].kind) for each, found in self.objects[inode].names.items()}

    def node(self, path: bytes) -> Node | None:
        inode = self.inode(path)
        if inode is None:
            return None
        found = self.objects[inode]
        return Node(inode, found.kind, found.links, len(found.content), found.modified, found.changed)

    # Edits

    def make(self, path: bytes, kind: FileKind, content: bytes = b"") -> None:
        inode = next(each for each in range(2, len(self.objects) + 3) if each not in self.objects)
        now = self._now()
        self.objects[inode] = Object(kind, now, now, now, content)
        self._put(path, inode)

    def write(self, path: bytes, content: bytes) -> None:
        found = self.objects[self._known(path)]
        found.content = content
        found.modified = found.changed = self._now()

    def write_secretly(self, path: bytes, content: bytes) -> None:
        """Write as many bytes, and set the time of modification back to what it was."""
        found = self.objects[self._known(path)]
        found.content = content[: len(found.content)].ljust(len(found.content), b".")
        found.changed = self._now()

    def chmod(self, path: bytes, mode: int) -> None:
        found = self.objects[self._known(path)]
        found.mode = mode
        found.changed = self._now()

    def link(self, path: bytes, new: bytes) -> None:
        inode = self._known(path)
        self._put(new, inode)
        self.objects[inode].changed = self._now()

    def rename(self, path: bytes, new: bytes) -> None:
        inode = self._known(path)
        self._take(path)
        self._put(new, inode)
        self.objects[inode].changed = self._now()

    def remove(self, path: bytes) -> None:
        """Remove a name, and a directory with all that is in it."""
        inode = self._known(path)
        for each in [*self.objects[inode].names]:
            self.remove(below(path, each))
        self._take(path)
        if not self.objects[inode].links:
            del self.objects[inode]
        else:
            self.objects[inode].changed = self._now()

    # What it looks like

    def inode(self, path: bytes) -> int | None:
        inode: int | None = ROOT
        for each in path.split(b"/") if path else ():
            inode = None if inode is None else self.objects[inode].names.get(each)
        return inode

    def paths(self) -> dict[int, list[bytes]]:
        """All paths of each object."""
        found: dict[int, list[bytes]] = {ROOT: [b""]}
        ahead = [(b"", ROOT)]
        while ahead:
            place, inode = ahead.pop()
            for each, child in self.objects[inode].names.items():
                found.setdefault(child, []).append(below(place, each))
                if self.objects[child].kind is FileKind.DIRECTORY:
                    ahead.append((below(place, each), child))
        return found

    def seen(self) -> dict[bytes, tuple[FileKind, bytes, int, frozenset[bytes]]]:
        """Everything that a copy has to have: by path the kind, content, mode, and all names of the object."""
        return {
            path: (self.objects[inode].kind, self.objects[inode].content, self.objects[inode].mode, frozenset(paths))
            for inode, paths in self.paths().items()
            for path in paths
        }

    def _now(self) -> int:
        self.clock += 1
        return self.clock

    def _known(self, path: bytes) -> int:
        inode = self.inode(path)
        assert inode is not None, path
        return inode

    def _put(self, path: bytes, inode: int) -> None:
        directory = self.objects[self._known(parent(path))]
        assert name(path) not in directory.names, path
        directory.names[name(path)] = inode
        self.objects[inode].links += 1
        self.objects[inode].home = self._known(parent(path))
        directory.modified = directory.changed = self._now()

    def _take(self, path: bytes) -> None:
        directory = self.objects[self._known(parent(path))]
        self.objects[directory.names.pop(name(path))].links -= 1
        directory.modified = directory.changed = self._now()


def diff(old: SmallTree, new: SmallTree) -> Iterator[Difference]:
    """What `zfs diff` says of two snapshots: in the order of the objects' numbers, one path an object.

    It finds the path where the object got its last name; of one that has none there it says nothing (OpenZFS 2.3.2).
    """
    before, after = old.paths(), new.paths()
    for inode in sorted({*before, *after}):
        was, now = old.objects.get(inode), new.objects.get(inode)
        went, came = _told_by(old, before, inode), _told_by(new, after, inode)
        if was and now and was.generation == now.generation:
            if was.changed == now.changed or not (went or came or inode == ROOT):
                continue
            if went and came and was.links == now.links and {*before[inode]} != {*after[inode]}:
                yield Difference(DifferenceKind.RENAMED, now.kind, went, came)
            else:
                yield Difference(DifferenceKind.MODIFIED, now.kind, came or went, came or went)
            continue
        if was and went:
            yield Difference(DifferenceKind.REMOVED, was.kind, went, went)
        if now and came:
            yield Difference(DifferenceKind.ADDED, now.kind, came, came)


def _told_by(tree: SmallTree, paths: Mapping[int, list[bytes]], inode: int) -> bytes:
    """The path that `zfs diff` finds; empty when it finds none, and for the root."""
    found = tree.objects.get(inode)
    places = paths.get(found.home, []) if found else []
    return next((path for path in paths.get(inode, ()) if path and parent(path) in places), b"")
