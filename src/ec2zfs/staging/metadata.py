"""Gives a restored object what the manifest says of it: owner, mode, extended attributes with ACLs, and its time."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from functools import partial

from ec2zfs.model.tree import FileKind
from ec2zfs.staging.records import Meta

_NODES = {
    FileKind.FIFO: stat.S_IFIFO,
    FileKind.SOCKET: stat.S_IFSOCK,
    FileKind.BLOCK: stat.S_IFBLK,
    FileKind.CHARACTER: stat.S_IFCHR,
}


def made(meta: Meta, name: bytes, directory: int) -> None:
    """Make a link, fifo, socket or device under a new name in an open directory. Raises OSError."""
    if meta.kind is FileKind.LINK:
        os.symlink(meta.target or b"", name, dir_fd=directory)
    else:
        device = os.makedev(*meta.device) if meta.device else 0
        os.mknod(name, 0o600 | _NODES[meta.kind], device, dir_fd=directory)


def described(meta: Meta, name: bytes, directory: int) -> list[str]:
    """Have all of it set that can be, in the order in which nothing undoes another; in words what could not be."""
    is_link = meta.kind is FileKind.LINK
    at = b"/proc/self/fd/%d/%s" % (directory, name)
    steps: list[tuple[str, Callable[[], None]]] = [
        ("owner", lambda: os.chown(name, meta.owner, meta.group, dir_fd=directory, follow_symlinks=False)),
    ]
    if not is_link:
        steps.append(("mode", lambda: os.chmod(name, meta.mode, dir_fd=directory)))
    steps += [
        (f"attribute {each}", partial(os.setxattr, at, each, value, follow_symlinks=False))
        for each, value in meta.attributes.items()
    ]
    times = (meta.modified, meta.modified)
    steps.append(("time", lambda: os.utime(name, ns=times, dir_fd=directory, follow_symlinks=False)))
    return [f"its {what} cannot be set: {why}" for what, step in steps if (why := _refusal(step))]


def _refusal(step: Callable[[], None]) -> str:
    try:
        step()
    except OSError as error:
        return error.strerror or str(error)
    return ""
