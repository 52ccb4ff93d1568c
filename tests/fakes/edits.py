"""Random edits of a real directory, of every kind that users of a file server make; and what a directory looks like."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ec2zfs.model.tree import FileKind, below
from ec2zfs.plan.tree_changes import walked
from ec2zfs.staging.records import Meta
from ec2zfs.staging.snapshot_tree import SnapshotTree

Edit = tuple[int, int, int]
"""What to do, and two numbers that choose what to do it with."""

NAMES = (b"one", b"two", b"\xff\xfe latin", b"new\nline\ttab", "größe".encode(), b"x" * 255)
MARKER = b"plain words of the source"


@dataclass
class Directory:
    """A real directory that is edited."""

    root: bytes

    def edit(self, edits: Sequence[Edit]) -> None:
        for number, one, other in edits:
            paths = self.paths()
            directories = [b"", *(each for each in paths if self._is_directory(each))]
            place = below(directories[other % len(directories)], NAMES[one % len(NAMES)])
            if number < len(_MAKERS) and not os.path.lexists(self._at(place)):
                _MAKERS[number](self._at(place), b"%s %d %d" % (MARKER, one, other))
            elif paths:
                path = paths[one % len(paths)]
                with contextlib.suppress(OSError):  # what a file system refuses is no edit
                    _CHANGES[number % len(_CHANGES)](self, path, place, paths[other % len(paths)])

    def paths(self) -> list[bytes]:
        with SnapshotTree(Path(os.fsdecode(self.root))) as tree:
            return sorted(path for path, _ in walked(tree))

    def write(self, path: bytes, second: bytes) -> None:
        self._put(path, MARKER + second + os.urandom(3))

    def truncate(self, path: bytes) -> None:
        if self._is_file(path):
            os.truncate(self._at(path), 4)

    def write_secretly(self, path: bytes) -> None:
        """Other bytes, as many, and the time of modification is set back."""
        if self._is_file(path):
            before = os.stat(self._at(path))
            self._put(path, os.urandom(before.st_size))
            os.utime(self._at(path), ns=(before.st_atime_ns, before.st_mtime_ns))

    def enlarge(self, path: bytes) -> None:
        if self._is_file(path):
            os.truncate(self._at(path), 300_000)

    def remove(self, path: bytes) -> None:
        if self._is_directory(path):
            for each in os.listdir(self._at(path)):
                self.remove(below(path, each))
            os.rmdir(self._at(path))
        else:
            os.unlink(self._at(path))

    def again(self, path: bytes) -> None:
        """Delete and create again, often with the same number."""
        self.remove(path)
        self._put(path, MARKER + b" again")

    def rename(self, path: bytes, place: bytes) -> None:
        if not os.path.lexists(self._at(place)):
            os.rename(self._at(path), self._at(place))

    def link(self, path: bytes, place: bytes) -> None:
        os.link(self._at(path), self._at(place), follow_symlinks=False)

    def exchange(self, path: bytes, second: bytes) -> None:
        if (
            path != second
            and not (path + b"/").startswith(second + b"/")
            and not (second + b"/").startswith(path + b"/")
        ):
            aside = below(self.root, b".exchanged")
            os.rename(self._at(path), aside)
            os.rename(self._at(second), self._at(path))
            os.rename(aside, self._at(second))

    def replace(self, path: bytes) -> None:
        """A file becomes a directory with a file in it, a directory a link."""
        was_directory = self._is_directory(path)
        self.remove(path)
        if was_directory:
            os.symlink(MARKER, self._at(path))
        else:
            os.mkdir(self._at(path))
            self._put(below(path, b"in"), MARKER)

    def turn(self, path: bytes) -> None:
        """A symbolic link leads elsewhere."""
        if os.path.islink(self._at(path)):
            os.unlink(self._at(path))
            os.symlink(MARKER + b" elsewhere", self._at(path))

    def chmod(self, path: bytes, mode: int) -> None:
        if not os.path.islink(self._at(path)):
            os.chmod(self._at(path), mode)

    def mark(self, path: bytes) -> None:
        """An extended attribute."""
        os.setxattr(self._at(path), b"user.mark", MARKER + os.urandom(2), follow_symlinks=False)

    def chown(self, path: bytes, number: int) -> None:
        os.chown(self._at(path), number, number + 1, follow_symlinks=False)

    def _put(self, path: bytes, content: bytes) -> None:
        if not os.path.lexists(self._at(path)) or self._is_file(path):
            with open(self._at(path), "wb") as file:
                file.write(content)

    def _at(self, path: bytes) -> bytes:
        return below(self.root, path) if path else self.root

    def _is_directory(self, path: bytes) -> bool:
        return stat.S_ISDIR(os.lstat(self._at(path)).st_mode)

    def _is_file(self, path: bytes) -> bool:
        return stat.S_ISREG(os.lstat(self._at(path)).st_mode)


def _file(path: bytes, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)


_MAKERS: tuple[Callable[[bytes, bytes], None], ...] = (
    _file,
    _file,
    lambda path, _: os.mkdir(path),
    lambda path, _: os.mkdir(path),
    lambda path, content: os.symlink(content, path),
    lambda path, _: os.mkfifo(path),
    lambda path, _: os.mknod(path, 0o600 | stat.S_IFSOCK),
    lambda path, _: _file(path, b""),
)

_CHANGES: tuple[Callable[[Directory, bytes, bytes, bytes], None], ...] = (
    lambda it, path, place, second: it.remove(path),
    lambda it, path, place, second: it.rename(path, place),
    lambda it, path, place, second: it.link(path, place),
    lambda it, path, place, second: it.link(path, place),
    lambda it, path, place, second: it.link(path, place),
    lambda it, path, place, second: it.remove(second),
    lambda it, path, place, second: it.exchange(path, second),
    lambda it, path, place, second: it.write(path, second),
    lambda it, path, place, second: it.truncate(path),
    lambda it, path, place, second: it.write_secretly(path),
    lambda it, path, place, second: it.enlarge(path),
    lambda it, path, place, second: it.again(path),
    lambda it, path, place, second: it.replace(path),
    lambda it, path, place, second: it.turn(path),
    lambda it, path, place, second: it.chmod(path, 0o740 + len(second) % 8),
    lambda it, path, place, second: it.mark(path),
    lambda it, path, place, second: it.chown(path, len(second)) if os.geteuid() == 0 else None,
    lambda it, path, place, second: it.write(b"", b""),
)

KINDS = len(_MAKERS) + 3 * len(_CHANGES) + 1
"""The first numbers of edits are below that."""


@dataclass(frozen=True)
class Look:
    """What has to be the same in a copy: everything but numbers and times of the last change."""

    meta: Meta
    content: bytes
    names: frozenset[bytes]


def looks(root: Path, tree: SnapshotTree) -> dict[bytes, Look]:
    """What a directory looks like, by path. Links have all their names."""
    with tree:
        paths = [b"", *(path for path, _ in walked(tree))]
        metas = {path: tree.meta(path) for path in paths}
    names: dict[int, set[bytes]] = {}
    for path, meta in metas.items():
        names.setdefault(meta.inode, set()).add(path)
    return {
        path: Look(
            meta._replace(inode=0, size=0 if meta.kind is FileKind.DIRECTORY else meta.size),
            _content(root, path) if meta.kind is FileKind.FILE else b"",
            frozenset(names[meta.inode]),
        )
        for path, meta in metas.items()
    }


def _content(root: Path, path: bytes) -> bytes:
    with open(below(os.fsencode(root), path), "rb") as file:
        return file.read()
