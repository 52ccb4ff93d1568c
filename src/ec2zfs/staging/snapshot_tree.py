"""A snapshot's directory as a `Tree`, with all that the manifest says of its objects. It reads, and changes nothing."""

from __future__ import annotations

import errno
import io
import os
import stat

from ec2zfs.errors import Unreadable
from ec2zfs.model.tree import Child, FileKind, Node, below, name, parent
from ec2zfs.staging.directories import ABSENT, Directories
from ec2zfs.staging.records import Meta

_PIECE = 1 << 20
_KINDS = {
    stat.S_IFREG: FileKind.FILE,
    stat.S_IFDIR: FileKind.DIRECTORY,
    stat.S_IFLNK: FileKind.LINK,
    stat.S_IFIFO: FileKind.FIFO,
    stat.S_IFSOCK: FileKind.SOCKET,
    stat.S_IFBLK: FileKind.BLOCK,
    stat.S_IFCHR: FileKind.CHARACTER,
}
_NAMES_NOTHING = frozenset({b"", b".", b".."})
_NO_ATTRIBUTES = frozenset({errno.ENOTSUP, errno.ENODATA})


class SnapshotTree(Directories):
    """See `Tree`. What is asked for by name and cannot be read raises `Unreadable`."""

    def children(self, directory: bytes) -> dict[bytes, Child] | None:
        """See `Tree`."""
        descriptor = self.descriptor(directory)
        if descriptor is None:
            return None
        new, file = tuple.__new__, FileKind.FILE  # a call of Child for each name would cost as much as the rest
        try:
            # By its number in /proc, names are told as bytes.
            with os.scandir(b"/proc/self/fd/%d" % descriptor) as entries:
                return {
                    each.name: new(Child, (each.inode(), file if each.is_file(follow_symlinks=False) else _kind(each)))
                    for each in entries
                }
        except OSError as error:
            raise Unreadable(f"{self.shown(directory)} cannot be read: {error.strerror}.") from error

    def node(self, path: bytes) -> Node | None:
        """See `Tree`."""
        told = self._told(path)
        if told is None:
            return None
        kind = _KINDS[stat.S_IFMT(told.st_mode)]
        return Node(_inode(path, told), kind, told.st_nlink, told.st_size, told.st_mtime_ns, told.st_ctime_ns)

    def meta(self, path: bytes) -> Meta:
        """All that the manifest says of an object. Raises `Unreadable` where there is none, too."""
        told = self._told(path)
        if told is None:
            raise Unreadable(f"{self.shown(path)} cannot be read: it is not there.")
        kind = _KINDS[stat.S_IFMT(told.st_mode)]
        device = (os.major(told.st_rdev), os.minor(told.st_rdev))
        return Meta(
            _inode(path, told),
            kind,
            stat.S_IMODE(told.st_mode),
            told.st_uid,
            told.st_gid,
            told.st_mtime_ns,
            told.st_size,
            self._attributes(path),
            self._target(path) if kind is FileKind.LINK else None,
            device if kind in (FileKind.BLOCK, FileKind.CHARACTER) else None,
        )

    def place(self, path: bytes) -> str:
        """Where another process finds it; a path too long for the kernel is for that process to tell of."""
        return os.fsdecode(below(os.fsencode(self.root), path))

    def same_content(self, path: bytes, other: SnapshotTree, by: bytes) -> bool:
        """Whether a regular file has the same bytes as another tree's. False as well if either cannot be read."""
        try:
            with _opened(self, path) as one, _opened(other, by) as two:
                while True:
                    here, there = one.read(_PIECE), two.read(_PIECE)
                    if here != there:
                        return False
                    if not here:
                        return True
        except OSError:
            return False  # whoever reads it next says why

    def _told(self, path: bytes) -> os.stat_result | None:
        """What `lstat` says; None where nothing stands, or can."""
        directory = self.descriptor(parent(path))
        if directory is None or b"\0" in path or (path and name(path) in _NAMES_NOTHING):
            return None
        try:
            return os.stat(name(path) or b".", dir_fd=directory, follow_symlinks=False)
        except OSError as error:
            if error.errno in ABSENT:
                return None
            raise Unreadable(f"{self.shown(path)} cannot be read: {error.strerror}.") from error

    def _attributes(self, path: bytes) -> dict[str, bytes]:
        """Extended attributes, ACLs among them. By /proc, since no call takes a name below a descriptor."""
        at = b"/proc/self/fd/%d/%s" % (self.descriptor(parent(path)) or 0, name(path) or b".")
        try:
            names = os.listxattr(at, follow_symlinks=False)
            return {each: os.getxattr(at, each, follow_symlinks=False) for each in names}
        except OSError as error:
            if error.errno in _NO_ATTRIBUTES:
                return {}
            raise Unreadable(f"The attributes of {self.shown(path)} cannot be read: {error.strerror}.") from error

    def _target(self, path: bytes) -> bytes:
        try:
            return os.readlink(name(path), dir_fd=self.descriptor(parent(path)))
        except OSError as error:
            raise Unreadable(f"{self.shown(path)} cannot be read: {error.strerror}.") from error


def _inode(path: bytes, told: os.stat_result) -> int:
    """The root's is 0 in every tree: ZFS gives that of each snapshot a number of its own (`zfs_getattr_fast`)."""
    return told.st_ino if path else 0


def _kind(entry: os.DirEntry[bytes]) -> FileKind:
    """What no regular file is."""
    if entry.is_dir(follow_symlinks=False):
        return FileKind.DIRECTORY
    if entry.is_symlink():
        return FileKind.LINK
    return _KINDS[stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode)]


def _opened(tree: SnapshotTree, path: bytes) -> io.FileIO:
    directory = tree.descriptor(parent(path))
    if directory is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return io.FileIO(os.open(name(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory))
