"""Names of a tree by the million, in little memory: by directory, and each object as a number."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ec2zfs.model.tree import Child, FileKind, below

_KINDS = tuple(FileKind)
_BITS = 3


class Name(NamedTuple):
    """A name that a tree has, and what it stands for there."""

    path: bytes
    child: Child


def numbered(child: Child) -> int:
    """An object as one number, below 2**64: inodes of ZFS have 48 bits."""
    return child.inode << _BITS | _KINDS.index(child.kind)


def child_of(number: int) -> Child:
    """The object that is `numbered` so."""
    return Child(number >> _BITS, _KINDS[number & (1 << _BITS) - 1])


class Listing:
    """The names in one directory. An object costs 8 bytes, a name 8 bytes and itself."""

    __slots__ = ("_names", "_objects")

    def __init__(self, names: Mapping[bytes, int]) -> None:
        self._names = list(names)
        self._objects = array("Q", names.values())

    @staticmethod
    def of(names: Mapping[bytes, Child]) -> Listing:
        """The listing of what is told as objects."""
        index = _KINDS.index  # there are as many of these as names in a tree
        return Listing({name: inode << _BITS | index(kind) for name, (inode, kind) in names.items()})

    def __bool__(self) -> bool:
        return bool(self._names)

    def numbers(self) -> Iterator[int]:
        """The objects, as `numbered` has them."""
        return iter(self._objects)

    def by_name(self) -> dict[bytes, int]:
        """The object of each name, as `numbered` has it."""
        return dict(zip(self._names, self._objects, strict=True))

    def __iter__(self) -> Iterator[tuple[bytes, Child]]:
        for name, number in zip(self._names, self._objects, strict=True):
            yield name, child_of(number)


class NameList:
    """Names of many directories, in the order in which they were added."""

    def __init__(self) -> None:
        self._listings: list[tuple[bytes, Listing]] = []

    def add(self, directory: bytes, names: Listing) -> None:
        """Add names of a directory."""
        if names:
            self._listings.append((directory, names))

    def __iter__(self) -> Iterator[Name]:
        return (Name(below(place, name), child) for place, names in self._listings for name, child in names)

    def numbers(self) -> Iterator[int]:
        """The objects, as `numbered` has them."""
        return (number for _, names in self._listings for number in names.numbers())

    def directories(self) -> Iterator[bytes]:
        """In which directories the names stand."""
        return (place for place, _ in self._listings)
