"""From what the names of two trees say to the steps that turn a staged copy of the old one into one of the new one.

What moves steps aside first, each object under its inode's number, so that any exchange of names is undone, and what
has to go goes before anything comes. Pure: the steps name paths, and no content is looked at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ec2zfs.model.tree import Child, FileKind, Tree, below, depth, parent
from ec2zfs.plan.tree_comparison import Name, Names


@dataclass(frozen=True)
class StepAside:
    """Move a directory, or put another name of any other object, from its old path to the place of its number."""

    path: bytes
    child: Child


@dataclass(frozen=True)
class Remove:
    """Take a name away by its old path; a directory is empty by then."""

    path: bytes
    child: Child


@dataclass(frozen=True)
class Place:
    """Move a directory, or put another name of any other object, from the place of its number to its new path."""

    path: bytes
    child: Child


@dataclass(frozen=True)
class Make:
    """Make what the new tree has at this path and the old one had nowhere; a directory is made empty."""

    path: bytes
    child: Child


@dataclass(frozen=True)
class Link:
    """Give what was made at the path `to` another name."""

    path: bytes
    to: bytes


@dataclass(frozen=True)
class Renew:
    """Bring an object that both trees have to what the new one says of it: metadata, and content unless it is the same.

    `old`: a path by which the old tree has it.
    """

    path: bytes
    old: bytes
    child: Child


@dataclass(frozen=True)
class Describe:
    """Give a directory the metadata that the new tree says, after everything in it is done."""

    path: bytes


Step = StepAside | Remove | Place | Make | Link | Renew | Describe


def changes(names: Names, old: Tree, new: Tree) -> tuple[Step, ...]:
    """The steps in their order. Paths of `StepAside` and `Remove` are those of the old tree, all others of the new."""
    return tuple(_Changes(names, old, new).steps())


class _Changes:
    def __init__(self, names: Names, old: Tree, new: Tree) -> None:
        self.names = names
        self.old = old
        self.new = new
        self.lost = _paths(names.lost)
        self.gained = _paths(names.gained)
        self.origins = {child: self.lost[child][0] for child in self.gained if child in self.lost}
        """By which old path each object is fetched that gets a new name."""
        self.origins.update(self._linked_elsewhere())

    def steps(self) -> Iterator[Step]:
        placed = tuple(self._placed())
        renewed = tuple(self._renewed())
        yield from self._parted()
        yield from placed
        yield from renewed
        yield from self._described(placed, renewed)

    def _linked_elsewhere(self) -> dict[Child, bytes]:
        """The old path of those objects that get another name and lose none that was looked at."""
        sought = {
            child
            for child, paths in self.gained.items()
            if child not in self.lost and child.kind is not FileKind.DIRECTORY and self._has_other_names(paths)
        }
        found: dict[Child, bytes] = {}
        for path, _ in self.names.kept:
            node = self.old.node(path)
            if node is not None and node.child in sought:
                found[node.child] = path
        if missing := sought - found.keys():
            found.update((each.child, each.path) for each in walked(self.old) if each.child in missing)
        return found

    def _has_other_names(self, paths: list[bytes]) -> bool:
        node = self.new.node(paths[0])
        return node is not None and node.links > len(paths)

    def _parted(self) -> Iterator[Step]:
        leaving = [StepAside(path, child) for child, path in self.origins.items()]
        yield from (each for each in leaving if each.child.kind is not FileKind.DIRECTORY)
        gone = [
            Remove(path, child)
            for child, paths in self.lost.items()
            for path in paths
            if child not in self.origins or child.kind is not FileKind.DIRECTORY
        ]
        yield from (each for each in gone if each.child.kind is not FileKind.DIRECTORY)
        every: tuple[StepAside | Remove, ...] = (*leaving, *gone)
        directories = [each for each in every if each.child.kind is FileKind.DIRECTORY]
        yield from sorted(directories, key=lambda each: depth(each.path), reverse=True)

    def _placed(self) -> Iterator[Step]:
        made: dict[Child, bytes] = {}
        for path, child in sorted(self.names.gained, key=_directories_from_above):
            if child in self.origins:
                yield Place(path, child)
            elif child in made:
                yield Link(path, made[child])
            else:
                made[child] = path
                yield Make(path, child)

    def _renewed(self) -> Iterator[Renew]:
        done = set[Child]()
        moved = ((self.origins[child], self.gained[child][0]) for child in self.origins)
        for before, after in (*moved, *self.names.kept):
            old, new = self.old.node(before), self.new.node(after)
            if old is None or new is None or new.kind is FileKind.DIRECTORY or new.child in done:
                continue
            if old.changed != new.changed:
                done.add(new.child)
                yield Renew(after, before, new.child)

    def _described(self, placed: Iterable[Step], renewed: Iterable[Renew]) -> Iterator[Describe]:
        touched = {parent(step.path) for step in (*placed, *renewed)}
        touched.update(path for path, child in self.names.gained if child.kind is FileKind.DIRECTORY)
        touched.update(after for before, after in self.names.directories if self._differs(before, after))
        for before, after in self.names.kept:
            node = self.new.node(after)
            if node is not None and node.kind is FileKind.DIRECTORY and self._differs(before, after):
                touched.add(after)
        yield from (Describe(path) for path in sorted(touched, key=_depth_and_path, reverse=True))

    def _differs(self, before: bytes, after: bytes) -> bool:
        old, new = self.old.node(before), self.new.node(after)
        return old is None or new is None or old.changed != new.changed


def walked(tree: Tree, top: bytes = b"") -> Iterator[Name]:
    """All names of a tree below a directory, each directory before what is in it."""
    ahead = [top]
    while ahead:
        directory = ahead.pop()
        for name, child in (tree.children(directory) or {}).items():
            path = below(directory, name)
            yield Name(path, child)
            if child.kind is FileKind.DIRECTORY:
                ahead.append(path)


def _paths(names: Iterable[Name]) -> dict[Child, list[bytes]]:
    found: dict[Child, list[bytes]] = defaultdict(list)
    for path, child in names:
        found[child].append(path)
    return dict(found)


def _directories_from_above(name: Name) -> tuple[bool, int, bytes]:
    return name.child.kind is not FileKind.DIRECTORY, depth(name.path), name.path


def _depth_and_path(path: bytes) -> tuple[int, bytes]:
    return depth(path) + bool(path), path
