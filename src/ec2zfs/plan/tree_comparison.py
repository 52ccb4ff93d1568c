"""What the names of two trees say, laid side by side: which names went, which came, which may have changed.

Hints say where to look; what is believed is what both trees show. A directory that is looked at in one tree is looked
at in the other, wherever it stands there, so that the two lists of names tell all that happened to it. Pure: it reads
through `Tree` and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ec2zfs.model.tree import Child, FileKind, Node, Tree, below
from ec2zfs.plan.tree_hints import Hints


class Name(NamedTuple):
    """A name that one of the trees has, and what it stands for there."""

    path: bytes
    child: Child


@dataclass
class Names:
    """The comparison of two trees, as far as it looked.

    `lost`: names of the old tree that are not the same in the new one, `gained`: of the new that were not in the old.
    A directory's own names are lost with it. `kept`: names that stand for the same object in both, with the path in
    each tree, and are to be looked at. `directories`: those that both trees have, by their paths there.
    """

    lost: list[Name] = field(default_factory=list)
    gained: list[Name] = field(default_factory=list)
    kept: list[tuple[bytes, bytes]] = field(default_factory=list)
    directories: list[tuple[bytes, bytes]] = field(default_factory=list)


def compared(old: Tree, new: Tree, hints: Hints) -> Names:
    """Lay two trees side by side where the hints say, and wherever that leads."""
    return _Comparison(_Side(old, hints.old), _Side(new, hints.new), hints.whole).names()


class _Side:
    """One of the trees: the directories that are known of, by inode, and the names in those that were looked at."""

    def __init__(self, tree: Tree, hints: Mapping[bytes, set[bytes]]) -> None:
        self.tree = tree
        self.hints = hints
        self.places: dict[int, bytes] = {}
        self.lists: dict[int, Mapping[bytes, Child]] = {}

    def look(self, inode: int) -> list[int]:
        """Read the directory, unless it has been; the directories in it."""
        if inode in self.lists:
            return []
        place = self.places[inode]
        names = self.tree.children(place) or {}
        self.lists[inode] = names
        found = [(name, child.inode) for name, child in names.items() if child.kind is FileKind.DIRECTORY]
        self.places.update((each, below(place, name)) for name, each in found)
        return [each for _, each in found]

    def walk_to(self, path: bytes) -> Iterator[int]:
        """The directories from the root to the path, as far as the tree has them."""
        place = b""
        for name in (b"", *path.split(b"/")) if path else (b"",):
            place = below(place, name) if name else place
            node = self.tree.node(place)
            if node is None or node.kind is not FileKind.DIRECTORY:
                return
            self.places[node.inode] = place
            yield node.inode

    def node(self, inode: int) -> Node | None:
        return self.tree.node(self.places[inode])


class _Comparison:
    def __init__(self, old: _Side, new: _Side, whole: set[bytes]) -> None:
        self.old = old
        self.new = new
        self.whole = whole
        self.thorough: set[int] = set()
        """Directories below which everything is looked at."""
        self._unsettled: list[int] = []

    def names(self) -> Names:
        self._start()
        self._settle()
        while alone := self._alone():
            # What only one tree seems to have is read there: what is in it may have come from elsewhere, or gone there.
            for side, inode in alone:
                self._look(side, inode)
            self._settle()
        return self._told()

    def _start(self) -> None:
        for side in (self.old, self.new):
            for path in {b"", *side.hints, *self.whole}:
                for inode in side.walk_to(path):
                    self._look(side, inode)
        for path in self.whole:
            self.thorough.update(
                inode
                for side in (self.old, self.new)
                for inode in [*side.walk_to(path)][-1:]
                if side.places[inode] == path
            )

    def _look(self, side: _Side, inode: int) -> None:
        self._unsettled += side.look(inode)
        self._unsettled.append(inode)  # first: when both trees have told, nothing in it needs to be searched for

    def _settle(self) -> None:
        """Look in the other tree at whatever was looked at in one, and in both at what is doubtful."""
        while self._unsettled:
            inode = self._unsettled.pop()
            self._find(inode)
            if not self._in_both(inode):
                continue
            if inode in self.old.lists or inode in self.new.lists or self._is_doubtful(inode):
                for side in (self.old, self.new):
                    if inode not in side.lists:
                        self._look(side, inode)
                self._deepen(inode)

    def _find(self, inode: int) -> None:
        """If one tree has not told of the directory, it may stand there where it stands in the other."""
        for side, other in ((self.old, self.new), (self.new, self.old)):
            if inode not in side.places and inode in other.places:
                node = side.tree.node(other.places[inode])
                if node is not None and node.child == Child(inode, FileKind.DIRECTORY):
                    side.places[inode] = other.places[inode]

    def _in_both(self, inode: int) -> bool:
        return inode in self.old.places and inode in self.new.places

    def _is_doubtful(self, inode: int) -> bool:
        """Whether a directory has to be looked at that no hint leads to: it stands elsewhere, with other names."""
        if inode in self.thorough:
            return True
        if self.old.places[inode] == self.new.places[inode]:
            return False
        old, new = self.old.node(inode), self.new.node(inode)
        return old is None or new is None or old.modified != new.modified

    def _deepen(self, inode: int) -> None:
        if inode not in self.thorough:
            return
        for side in (self.old, self.new):
            within = [each.inode for each in side.lists[inode].values() if each.kind is FileKind.DIRECTORY]
            fresh = [each for each in within if each not in self.thorough]
            self.thorough.update(fresh)
            self._unsettled += fresh

    def _alone(self) -> list[tuple[_Side, int]]:
        return [
            (side, inode)
            for side, other in ((self.old, self.new), (self.new, self.old))
            for inode in side.places
            if inode not in other.places and inode not in side.lists
        ]

    def _told(self) -> Names:
        names = Names()
        for inode in {*self.old.lists, *self.new.lists}:
            old, new = self.old.lists.get(inode, {}), self.new.lists.get(inode, {})
            if self._in_both(inode):
                names.directories.append((self.old.places[inode], self.new.places[inode]))
                names.kept += self._looked_at(inode, old, new)
            names.lost += (
                Name(below(self.old.places[inode], name), child)
                for name, child in old.items()
                if new.get(name) != child
            )
            names.gained += (
                Name(below(self.new.places[inode], name), child)
                for name, child in new.items()
                if old.get(name) != child
            )
        return names

    def _looked_at(
        self, inode: int, old: Mapping[bytes, Child], new: Mapping[bytes, Child]
    ) -> Iterator[tuple[bytes, bytes]]:
        before, after = self.old.places[inode], self.new.places[inode]
        hinted = self.old.hints.get(before, set()) | self.new.hints.get(after, set())
        for name in new if inode in self.thorough else hinted:
            if name in new and old.get(name) == new[name]:
                yield below(before, name), below(after, name)
