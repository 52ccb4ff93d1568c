"""Opens directories below a root by their paths: never through a link, never above the root, however long the path.

Users choose the names, so a path may be longer than the kernel takes in one call, and a name that was a directory in
one snapshot may be a link in the next. So each directory is opened from the one above it.
"""

from __future__ import annotations

import errno
import os
from collections import OrderedDict
from pathlib import Path
from types import TracebackType
from typing import Self

from ec2zfs.encryption.streams import shown
from ec2zfs.errors import Unreadable
from ec2zfs.model.tree import parent

_KEPT_OPEN = 64
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL})
"""What the kernel says where no such thing stands, or can."""


class Directories:
    """The directories below a root. Use it in a `with` statement."""

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            self._top = os.open(root, _FLAGS)
        except OSError as error:
            raise Unreadable(f"{shown(str(root))} cannot be read: {error.strerror}.") from error
        self._open = OrderedDict[bytes, int]()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.forget()
        os.close(self._top)

    def descriptor(self, path: bytes) -> int | None:
        """A descriptor of the directory, good until the next call; None where no directory stands.

        Raises `Unreadable` for one that stands there and cannot be opened.
        """
        place, found = self._nearest(path)
        for name in path[len(place) :].lstrip(b"/").split(b"/") if place != path else ():
            if name in (b"", b".", b"..") or b"\0" in name:
                return None
            place = b"%s/%s" % (place, name) if place else name
            try:
                found = os.open(name, _FLAGS, dir_fd=found)
            except OSError as error:
                if error.errno in ABSENT:
                    return None
                raise Unreadable(f"{self.shown(place)} cannot be read: {error.strerror}.") from error
            self._keep(place, found)
        return found

    def shown(self, path: bytes) -> str:
        """The whole path as an error can print it."""
        return shown(os.fsdecode(os.path.join(os.fsencode(self.root), path)))  # noqa: PTH118 - bytes

    def forget(self) -> None:
        """Believe no path any more: directories were moved or removed."""
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()

    def _nearest(self, path: bytes) -> tuple[bytes, int]:
        """The nearest directory above the path that is open; the path itself if it is."""
        while path:
            if path in self._open:
                self._open.move_to_end(path)
                return path, self._open[path]
            path = parent(path)
        return b"", self._top

    def _keep(self, path: bytes, descriptor: int) -> None:
        self._open[path] = descriptor
        if len(self._open) > _KEPT_OPEN:
            os.close(self._open.popitem(last=False)[1])
