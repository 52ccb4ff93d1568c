"""What the names of two trees say, laid side by side: which names went, which came, which may have changed.

Hints say where to look; what is believed is what both trees show. A directory that is looked at in one tree is looked
at in the other, wherever it stands there, so that the two lists of names tell all that happened to it. Pure: it reads
through `Tree` and changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from ec2zfs.model.tree import Child, FileKind, Node, Tree, below
from ec2zfs.plan.tree_hints import Hints
from ec2zfs.plan.tree_names import Listing, NameList, child_of


@dataclass
class Names:
    """The comparison of two trees, as far as it looked.

    `lost`: names of the old tree that are not the same in the new one, `gained`: of the new that were not in the old.
    A directory's own names are lost with it. `directories`: those that both trees have, by their paths there, each with
    the names that stand for the same object in both and behind which something may have changed.
    """

    lost: NameList = field(default_factory=NameList)
    gained: NameList = field(default_factory=NameList)
    directories: Collection[tuple[bytes, bytes, tuple[bytes, ...]]] = ()

    def kept(self) -> Iterator[tuple[bytes, bytes]]:
        """The paths, in each tree, of objects that may have changed behind a name that has not."""
        return ((below(old, name), below(new, name)) for old, new, names in self.directories for name in names)


def compared(old: Tree, new: Tree, hints: Hints) -> Names:
    """Lay two trees side by side where the hints say, and wherever that leads."""
    return _Comparison(_Side(old), _Side(new), hints).names()


class _Side:
    """One of the trees: the directories that are known of, by inode, and the names in those that were looked at.

    A listing is kept until the directory has been compared.
    """

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.places: dict[int, bytes] = {}
        self.listings: dict[int, Listing] = {}
        self.looked_at: set[int] = set()

    def look(self, inode: int) -> list[int]:
        """Read the directory; the directories in it."""
        place = self.places[inode]
        names = self.tree.children(place) or {}
        self.looked_at.add(inode)
        self.listings[inode] = Listing.of(names)
        found = [(name, each) for name, (each, kind) in names.items() if kind is FileKind.DIRECTORY]
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
    def __init__(self, old: _Side, new: _Side, hints: Hints) -> None:
        self.old = old
        self.new = new
        self.hints = hints
        self.thorough: set[int] = set()
        """Directories below which everything is looked at."""
        self._unsettled: list[int] = []
        self._names = Names()
        self._compared: dict[int, tuple[bytes, bytes, tuple[bytes, ...]]] = {}

    def names(self) -> Names:
        self._start()
        self._settle()
        while alone := self._alone():
            # What only one tree seems to have is read there: what is in it may have come from elsewhere, or gone there.
            for side, inode in alone:
                self._look(side, inode)
            self._settle()
        for side, names in ((self.old, self._names.lost), (self.new, self._names.gained)):
            for inode, listing in side.listings.items():
                names.add(side.places[inode], listing)
        self._names.directories = self._compared.values()
        return self._names

    def _start(self) -> None:
        for side, hints in ((self.old, self.hints.old), (self.new, self.hints.new)):
            for path in self.hints.whole:
                self.thorough.update(inode for inode in [*side.walk_to(path)][-1:] if side.places[inode] == path)
            for path in {b"", *hints, *self.hints.whole}:
                for inode in side.walk_to(path):
                    if inode not in side.looked_at:
                        self._look(side, inode)

    def _look(self, side: _Side, inode: int) -> None:
        self._unsettled += side.look(inode)
        self._unsettled.append(inode)  # first: when both trees have told, nothing in it needs to be searched for

    def _settle(self) -> None:
        """Look in the other tree at whatever was looked at in one, and in both at what is doubtful."""
        while self._unsettled:
            inode = self._unsettled.pop()
            self._find(inode)
            if self._in_both(inode) and inode not in self._compared and self._is_to_be_compared(inode):
                for side in (self.old, self.new):
                    if inode not in side.looked_at:
                        self._unsettled += side.look(inode)
                self._compare(inode)

    def _find(self, inode: int) -> None:
        """If one tree has not told of the directory, it may stand there where it stands in the other."""
        for side, other in ((self.old, self.new), (self.new, self.old)):
            if inode not in side.places and inode in other.places:
                node = side.tree.node(other.places[inode])
                if node is not None and node.child == Child(inode, FileKind.DIRECTORY):
                    side.places[inode] = other.places[inode]

    def _in_both(self, inode: int) -> bool:
        return inode in self.old.places and inode in self.new.places

    def _is_to_be_compared(self, inode: int) -> bool:
        """Whether one was looked at, or has to be though no hint leads to it: it stands elsewhere, with other names."""
        if inode in self.old.looked_at or inode in self.new.looked_at or inode in self.thorough:
            return True
        if self.old.places[inode] == self.new.places[inode]:
            return False
        old, new = self.old.node(inode), self.new.node(inode)
        return old is None or new is None or old.modified != new.modified

    def _alone(self) -> list[tuple[_Side, int]]:
        return [
            (side, inode)
            for side, other in ((self.old, self.new), (self.new, self.old))
            for inode in side.places
            if inode not in other.places and inode not in side.looked_at
        ]

    def _compare(self, inode: int) -> None:
        before, after = self.old.places[inode], self.new.places[inode]
        old, new = self.old.listings.pop(inode).by_name(), self.new.listings.pop(inode).by_name()
        told = self.hints.doubtful(before, after)
        doubtful = new if told is None or inode in self.thorough else told
        kept = tuple(name for name in doubtful if name in new and old.get(name) == new[name])
        if inode not in self._compared:
            for names, path, mine, other in (
                (self._names.lost, before, old, new),
                (self._names.gained, after, new, old),
            ):
                names.add(path, Listing({name: each for name, each in mine.items() if other.get(name) != each}))
        self._compared[inode] = before, after, kept
        if inode in self.thorough:
            objects = map(child_of, (*old.values(), *new.values()))
            self._deepen(child.inode for child in objects if child.kind is FileKind.DIRECTORY)

    def _deepen(self, directories: Iterable[int]) -> None:
        for inode in directories:
            if inode not in self.thorough:
                self.thorough.add(inode)
                self._unsettled.append(inode)
                if inode in self._compared:  # it was compared by its hints alone
                    for side in (self.old, self.new):
                        self._unsettled += side.look(inode)
                    self._compare(inode)
