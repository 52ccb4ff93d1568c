"""The source's names in the folder: directories, and regular files as links to their objects.

What an earlier run left otherwise than it should be, because nothing told it of a change, stands in no way: it makes
room. Symbolic links and all else have their place in the manifest alone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ec2zfs.encryption.streams import unwritable
from ec2zfs.model.tree import Child, FileKind, below, name, parent
from ec2zfs.staging.directories import Directories

_MODE = 0o700


class View(Directories):
    """The names below `root`; `aside` is where directories wait that move. Raises `NoSpace`, or `Unwritable`."""

    def __init__(self, root: Path, aside: Path) -> None:
        super().__init__(root)
        self._aside = aside

    def make(self, path: bytes) -> None:
        """Have a directory there, with those above it."""
        self._made(path)

    def show(self, path: bytes, target: str) -> bool:
        """Have the path be a link to an object; whether it was not."""
        with self._told(path):
            directory = self._made(parent(path))
            try:
                os.link(target, name(path), dst_dir_fd=directory)
            except FileExistsError:
                if os.path.samestat(os.stat(name(path), dir_fd=directory, follow_symlinks=False), os.lstat(target)):
                    return False
                self._clear(path)
                os.link(target, name(path), dst_dir_fd=self._made(parent(path)))
        return True

    def remove(self, path: bytes) -> None:
        """Have nothing there."""
        with self._told(path), contextlib.suppress(FileNotFoundError):
            self._clear(path)

    def set_aside(self, path: bytes, inode: int) -> None:
        """Move a directory, with what is in it, from where the source had it."""
        if self.descriptor(path) is not None:
            self.forget()
            with self._told(path):
                os.rename(name(path), self._waiting(inode), src_dir_fd=self.descriptor(parent(path)))

    def place(self, path: bytes, inode: int) -> None:
        """Move a directory that was set aside to where the source has it now."""
        with self._told(path):
            if self._waiting(inode).exists():
                self.remove(path)
                os.rename(self._waiting(inode), name(path), dst_dir_fd=self._made(parent(path)))
            self._made(path)

    def prune(self, path: bytes, children: Mapping[bytes, Child]) -> int:
        """Have nothing else in a directory than these, each of its kind; how many had to go."""
        with self._told(path), os.scandir(self._made(path)) as entries:
            foreign = [found for each in entries if not _is(each, children.get(found := os.fsencode(each.name)))]
        for each in foreign:
            self.remove(below(path, each))
        return len(foreign)

    def _waiting(self, inode: int) -> Path:
        return self._aside / f"{inode:x}"

    def _made(self, path: bytes) -> int:
        """A directory's descriptor, good until the next call; what was not there is made."""
        missing = list[bytes]()
        above = path
        while (found := self.descriptor(above)) is None:
            missing.append(above)
            above = parent(above)
        for each in reversed(missing):
            with self._told(each), contextlib.suppress(FileNotFoundError):
                os.unlink(name(each), dir_fd=found)
            with self._told(each):
                os.mkdir(name(each), _MODE, dir_fd=found)
            found = self.descriptor(each)
        assert found is not None, path  # noqa: S101 - it was made
        return found

    def _clear(self, path: bytes) -> None:
        is_directory = self.descriptor(path) is not None
        if is_directory:
            self.forget()
        directory = self.descriptor(parent(path))
        if directory is not None:
            if is_directory:
                shutil.rmtree(name(path), dir_fd=directory)
            else:
                os.unlink(name(path), dir_fd=directory)

    @contextmanager
    def _told(self, path: bytes) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise unwritable(self.shown(path), error) from error


def _is(entry: os.DirEntry[str], meant: Child | None) -> bool:
    if meant is None:
        return False
    if meant.kind is FileKind.DIRECTORY:
        return entry.is_dir(follow_symlinks=False)
    return meant.kind is FileKind.FILE and entry.is_file(follow_symlinks=False)


class NoView:
    """In the place of a `View` where names are encrypted: it shows nothing."""

    def make(self, path: bytes) -> None:
        """Do nothing."""

    def show(self, path: bytes, target: str) -> bool:  # noqa: ARG002 - as the other has them
        """Do nothing."""
        return False

    def remove(self, path: bytes) -> None:
        """Do nothing."""

    def set_aside(self, path: bytes, inode: int) -> None:
        """Do nothing."""

    def place(self, path: bytes, inode: int) -> None:
        """Do nothing."""

    def prune(self, path: bytes, children: Mapping[bytes, Child]) -> int:  # noqa: ARG002 - as the other has them
        """Do nothing."""
        return 0
