"""From what the names of two trees say to the steps that turn a staged copy of the old one into one of the new one.

What moves steps aside first, each object under its inode's number, so that any exchange of names is undone, and what
has to go goes before anything comes. Pure: the steps name paths, and no content is looked at.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from ec2zfs.model.tree import Child, FileKind, Tree, below, depth, parent
from ec2zfs.plan.tree_comparison import Names
from ec2zfs.plan.tree_names import Name, numbered


@dataclass(frozen=True, slots=True)
class StepAside:
    """Move a directory, or put another name of any other object, from its old path to the place of its number."""

    path: bytes
    child: Child


@dataclass(frozen=True, slots=True)
class Remove:
    """Take a name away by its old path; a directory is empty by then."""

    path: bytes
    child: Child


@dataclass(frozen=True, slots=True)
class Place:
    """Move a directory, or put another name of any other object, from the place of its number to its new path."""

    path: bytes
    child: Child


@dataclass(frozen=True, slots=True)
class Make:
    """Make what the new tree has at this path and the old one had nowhere; a directory is made empty."""

    path: bytes
    child: Child


@dataclass(frozen=True, slots=True)
class Link:
    """Give what was made at the path `to` another name."""

    path: bytes
    to: bytes


@dataclass(frozen=True, slots=True)
class Renew:
    """Bring an object that both trees have to what the new one says of it: metadata, and content unless it is the same.

    `old`: a path by which the old tree has it.
    """

    path: bytes
    old: bytes
    child: Child


@dataclass(frozen=True, slots=True)
class Stray:
    """From now on a diff may say nothing of an object, whatever becomes of it: it lost a name, and has others still."""

    inode: int


@dataclass(frozen=True, slots=True)
class Describe:
    """Give a directory the metadata that the new tree says, after everything in it is done."""

    path: bytes


Step = StepAside | Remove | Place | Make | Link | Renew | Stray | Describe


def changes(names: Names, old: Tree, new: Tree, astray: Collection[int] = ()) -> Iterator[Step]:
    """The steps in their order. Paths of `StepAside` and `Remove` are those of the old tree, all others of the new.

    `astray`: the objects of which the steps to the old tree said `Stray`. They are looked at, told of or not.
    """
    return _Changes(names, old, new, astray).steps()


class _Changes:
    def __init__(self, names: Names, old: Tree, new: Tree, astray: Collection[int]) -> None:
        self.names = names
        self.old = old
        self.new = new
        self.astray = astray
        self.origins = self._moved()
        """By which old path each object is fetched that gets a new name."""
        self.linked = self._linked()
        """The new paths of each object that has several names, none of them an old one."""
        self.renewed = set[bytes]()

    def steps(self) -> Iterator[Step]:
        yield from self._parted()
        yield from self._placed()
        yield from self._renewed()
        yield from self._described()

    def _moved(self) -> dict[Child, bytes]:
        came = set(self.names.gained.numbers())
        found: dict[Child, bytes] = {}
        for path, child in self.names.lost:
            if numbered(child) in came:
                found.setdefault(child, path)
        return found

    def _linked(self) -> dict[Child, list[bytes]]:
        """Of what came and has several names: what has none but new ones. What has an old one is fetched by that."""
        paths: dict[Child, list[bytes]] = defaultdict(list)
        others = set[Child]()
        for path, child in self.names.gained:
            if child in self.origins or child.kind is FileKind.DIRECTORY:
                continue
            node = self.new.node(path)
            if node is not None and node.links > 1:
                paths[child].append(path)
                (others.add if node.links > len(paths[child]) else others.discard)(child)
        self.origins.update(self._sought(others))
        return {child: found for child, found in paths.items() if child not in self.origins}

    def _sought(self, children: set[Child]) -> dict[Child, bytes]:
        """Old paths of objects that have got another name and lost none: among what was told of, else anywhere."""
        found: dict[Child, bytes] = {}
        if children:
            nodes = ((path, self.old.node(path)) for path, _ in self.names.kept())
            found.update((node.child, path) for path, node in nodes if node is not None and node.child in children)
        if missing := children - found.keys():
            found.update((each.child, each.path) for each in walked(self.old) if each.child in missing)
        return found

    def _parted(self) -> Iterator[Step]:
        directories = list[StepAside | Remove]()
        for child, path in self.origins.items():
            step = StepAside(path, child)
            if child.kind is FileKind.DIRECTORY:
                directories.append(step)
            else:
                yield step
        for path, child in self.names.lost:
            if child.kind is not FileKind.DIRECTORY:
                yield Remove(path, child)
            elif child not in self.origins:
                directories.append(Remove(path, child))
        yield from sorted(directories, key=lambda each: depth(each.path), reverse=True)

    def _placed(self) -> Iterator[Step]:
        directories = (each for each in self.names.gained if each.child.kind is FileKind.DIRECTORY)
        for path, child in sorted(directories, key=lambda each: (depth(each.path), each.path)):
            yield Place(path, child) if child in self.origins else Make(path, child)
        for path, child in self.names.gained:
            if child.kind is FileKind.DIRECTORY:
                continue
            first = self.linked.get(child, (path,))[0]
            if child in self.origins:
                yield Place(path, child)
            elif path != first:
                yield Link(path, first)
            else:
                yield Make(path, child)

    def _renewed(self) -> Iterator[Renew | Stray]:
        done, untold = set[Child](), self._untold()
        moved = ((self.origins[child], path) for path, child in self.names.gained if child in self.origins)
        for before, after in itertools.chain(moved, self.names.kept(), self._sought_again(untold)):
            old, new = self.old.node(before), self.new.node(after)
            if old is None or new is None or new.kind is FileKind.DIRECTORY:
                continue
            if new.inode in untold:
                del untold[new.inode]
                yield Stray(new.inode)
            if old.changed == new.changed:
                continue
            if new.child not in done:
                self.renewed.add(parent(after))
                yield Renew(after, before, new.child)
            if new.links > 1:
                done.add(new.child)

    def _untold(self) -> dict[int, bytes | None]:
        """The objects of which a diff may say nothing, each with the name that it lost just now.

        `zfs diff` tells of an object by one name only, the one that it got last. If it lost that, it is told of by that
        once, and then no more: until it gets another, as long as it has names at all, what changes is to be looked for.
        """
        came = set(self.names.gained.numbers())
        lost, links = dict[Child, bytes](), dict[Child, int]()
        for path, child in self.names.lost:
            if child.kind is not FileKind.DIRECTORY and numbered(child) not in came:
                node = self.old.node(path)
                if node is not None and node.links > 1:
                    lost.setdefault(child, path)
                    links[child] = links.get(child, node.links) - 1
        found: dict[int, bytes | None] = dict.fromkeys(self.astray) if self.astray else {}
        found.update((child.inode, path) for child, path in lost.items() if links[child])
        for _, child in self.names.gained if found else ():
            found.pop(child.inode, None)
        return found

    def _sought_again(self, untold: Mapping[int, bytes | None]) -> Iterator[tuple[bytes, bytes]]:
        """An old and a new path of each object that is untold still, wherever it stands."""
        moved = dict[Child, bytes]()
        for path, child in walked(self.new) if untold else ():
            if child.kind is FileKind.DIRECTORY or child.inode not in untold:
                continue
            before = untold[child.inode] or path
            node = self.old.node(before)
            if node is not None and node.child == child:
                yield before, path
            else:
                moved[child] = path
            if len(moved) == len(untold):
                break
        for path, child in walked(self.old) if moved else ():
            if child in moved:
                yield path, moved.pop(child)

    def _described(self) -> Iterator[Describe]:
        touched = {*self.names.gained.directories(), *self.renewed}
        touched.update(path for path, child in self.names.gained if child.kind is FileKind.DIRECTORY)
        known = ((old, new) for old, new, _ in self.names.directories)
        for before, after in itertools.chain(known, self.names.kept()):
            old, new = self.old.node(before), self.new.node(after)
            if new is not None and new.kind is FileKind.DIRECTORY and (old is None or old.changed != new.changed):
                touched.add(after)
        yield from (Describe(path) for path in sorted(touched, key=_depth_and_path, reverse=True))


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


def _depth_and_path(path: bytes) -> tuple[int, bytes]:
    return depth(path) + bool(path), path
