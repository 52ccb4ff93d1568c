"""A tree of files as a snapshot shows it: names in directories, and what stands behind each name.

Paths are bytes, relative to the tree's root, which is `b""`. Two names with one inode are one object.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol


class FileKind(Enum):
    """What an object is; the value is the letter by which `zfs diff -F` calls it (fact 39)."""

    FILE = "F"
    DIRECTORY = "/"
    LINK = "@"
    FIFO = "|"
    SOCKET = "="
    BLOCK = "B"
    CHARACTER = "C"


class Child(NamedTuple):
    """What a name in a directory stands for, as far as reading the directory tells."""

    inode: int
    kind: FileKind


@dataclass(frozen=True)
class Node:
    """An object as `lstat` tells of it. `size` in bytes, `modified` and `changed` in nanoseconds since 1970."""

    inode: int
    kind: FileKind
    links: int
    size: int
    modified: int
    changed: int

    @property
    def child(self) -> Child:
        """The object as a directory that names it tells of it."""
        return Child(self.inode, self.kind)


class Tree(Protocol):
    """One snapshot's tree, which does not change while it is looked at."""

    def children(self, directory: bytes) -> Mapping[bytes, Child] | None:
        """The names in a directory; None when no directory stands there."""
        ...

    def node(self, path: bytes) -> Node | None:
        """What stands at the path, never what a link there points to; None when nothing does."""
        ...


class DifferenceKind(Enum):
    """What is said of an object; the value is the letter of `zfs diff`."""

    ADDED = "+"
    REMOVED = "-"
    MODIFIED = "M"
    RENAMED = "R"


class Difference(NamedTuple):
    """One line of `zfs diff`: the path before and the path after are one, but for a rename. `kind`: None if unknown."""

    change: DifferenceKind
    kind: FileKind | None
    old: bytes
    new: bytes


def parent(path: bytes) -> bytes:
    """The directory that names the path."""
    return path.rpartition(b"/")[0]


def name(path: bytes) -> bytes:
    """The path's name in its directory."""
    return path.rpartition(b"/")[2]


def below(directory: bytes, name: bytes) -> bytes:
    """The path of a name in a directory."""
    return b"%s/%s" % (directory, name) if directory else name


def depth(path: bytes) -> int:
    """How many directories stand above the path's name; the root is at no depth at all."""
    return path.count(b"/")
