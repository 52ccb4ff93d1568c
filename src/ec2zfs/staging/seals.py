"""Seals: what stands in clear beside each segment, so that anybody can tell whether the folder's ciphertexts are whole.

Lines with tabs between their words: ids, sizes and digests of ciphertexts, and to whom they are encrypted. Of the
source they tell no name and no digest. The last line seals the segment itself; without it the two are not whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from ec2zfs.encryption.interface import Content
from ec2zfs.encryption.streams import Sink, shown, unwritable
from ec2zfs.errors import Damaged, Unreadable

_FIRST = "ec2zfs-seals\t1"
_TAIL_BYTES = 4096


@dataclass(frozen=True)
class Sealed:
    """What the seals of one snapshot say: objects written (with their contents), removed, and left unread.

    `unread` and `astray` (of which the next diffs may say nothing) are all that are so at that snapshot. `base`: the
    segment states the whole tree.
    """

    recipients: tuple[str, ...]
    base: bool
    segment: Content
    written: dict[int, Content] = field(default_factory=dict)
    removed: frozenset[int] = frozenset()
    unread: frozenset[int] = frozenset()
    astray: frozenset[int] = frozenset()


class Ends(NamedTuple):
    """What the first and the last lines of a file of seals say; `unread` and `astray` are how many."""

    recipients: tuple[str, ...]
    unread: int
    astray: int


class SealsWriter:
    """Writes the seals of a new segment. Use it in a `with` statement; they are whole after `close_with`."""

    def __init__(self, path: Path, recipients: tuple[str, ...], *, base: bool) -> None:
        self._path = path
        self._head = [_FIRST, "\t".join(("recipients", *recipients)), f"base\t{'yes' if base else 'no'}"]
        self._unread = self._astray = 0

    def __enter__(self) -> Self:
        try:
            self._target = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise unwritable(shown(str(self._path)), error) from error
        self._sink = Sink(self._target, str(self._path))
        for line in self._head:
            self._write(line)
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        os.close(self._target)

    def written(self, inode: int, content: Content) -> None:
        """An object was written."""
        self._write(f"{inode:02x}\t{content.size}\t{content.digest.hex()}")

    def removed(self, inode: int) -> None:
        """An object was removed."""
        self._write(f"{inode:02x}\t-")

    def unread(self, inode: int) -> None:
        """What belongs into an object could not be read: there is none, or an older one."""
        self._unread += 1
        self._write(f"{inode:02x}\tunread")

    def astray(self, inode: int) -> None:
        """The next diffs may say nothing of an object of the source."""
        self._astray += 1
        self._write(f"{inode:02x}\tastray")

    def close_with(self, segment: Content) -> None:
        """Seal the segment."""
        self._write(f"open\t{self._unread}\t{self._astray}")
        self._write(f"segment\t{segment.size}\t{segment.digest.hex()}")
        self._sink.flush()

    def _write(self, line: str) -> None:
        self._sink.write(line.encode() + b"\n")


def read_seals(path: Path) -> Sealed:
    """What a whole file of seals says. Raises `Damaged`, or `Unreadable`."""
    try:
        with path.open(encoding="ascii") as file:
            return _sealed(line.rstrip("\n").split("\t") for line in file)
    except OSError as error:
        raise Unreadable(f"{shown(str(path))} cannot be read: {error.strerror}.") from error
    except (ValueError, StopIteration) as error:
        raise _not_whole(path) from error


def _sealed(lines: Iterator[list[str]]) -> Sealed:
    """What the lines say; ValueError or StopIteration if they are not whole."""
    recipients, base = _head(lines)
    written: dict[int, Content] = {}
    removed, unread, astray = set[int](), set[int](), set[int]()
    for words in lines:
        match words:
            case ["open", *_]:
                segment = _segment(next(lines))
                if next(lines, None) is not None or _counts(words) != (len(unread), len(astray)):
                    raise ValueError(words)
                sets = (frozenset(each) for each in (removed, unread, astray))
                return Sealed(recipients, base, segment, written, *sets)
            case [number, "-"]:
                written.pop(inode := int(number, 16), None)
                removed.add(inode)
            case [number, "unread"]:
                unread.add(int(number, 16))
            case [number, "astray"]:
                astray.add(int(number, 16))
            case [number, size, digest]:
                removed.discard(inode := int(number, 16))
                written[inode] = Content(int(size), bytes.fromhex(digest))
            case _:
                raise ValueError(words)
    raise ValueError("the last line is missing")


def read_ends(path: Path) -> Ends:
    """What a file of seals says at its ends, without reading it all. Raises `Damaged`, or `Unreadable`."""
    try:
        with path.open("rb") as file:
            head = [file.readline().decode().rstrip("\n").split("\t") for _ in range(3)]
            file.seek(max(file.tell(), os.fstat(file.fileno()).st_size - _TAIL_BYTES))
            *_, before, last = (line.split("\t") for line in file.read().decode().splitlines())
        _segment(last)
        return Ends(_head(iter(head))[0], *_counts(before))
    except OSError as error:
        raise Unreadable(f"{shown(str(path))} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise _not_whole(path) from error


def _not_whole(path: Path) -> Damaged:
    return Damaged(f"{shown(str(path))} are no whole seals: they were altered, or what wrote them was interrupted.")


def _head(lines: Iterator[list[str]]) -> tuple[tuple[str, ...], bool]:
    first, (word, *recipients), (base, answer) = next(lines), next(lines), next(lines)
    if first != _FIRST.split("\t") or word != "recipients" or base != "base" or answer not in ("yes", "no"):
        raise ValueError(first)
    return tuple(recipients), answer == "yes"


def _segment(words: list[str]) -> Content:
    word, size, digest = words
    if word != "segment":
        raise ValueError(words)
    return Content(int(size), bytes.fromhex(digest))


def _counts(words: list[str]) -> tuple[int, int]:
    """How many are unread, and how many astray, of which seals did not tell at first."""
    word, unread, astray = words if len(words) > 2 else [*words, "0"]
    if word != "open":
        raise ValueError(words)
    return int(unread), int(astray)
