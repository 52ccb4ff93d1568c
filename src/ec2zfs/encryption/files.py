"""Puts what an encryption gives into its place: whole or not at all, whatever happens, even a loss of power.

A target is written under a temporary name beside it, locked, and takes its name when it is whole. Whoever is killed
leaves temporaries, which nobody has locked any more; `swept` removes these. Nothing here knows a format.
"""

# A Path of each name would take a fifth of a small file's time.
# ruff: noqa: PTH105, PTH108

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ec2zfs.encryption.interface import NOWHERE, Content, Done, Task
from ec2zfs.encryption.streams import Sink, Source, shown, unwritable
from ec2zfs.errors import AlreadyThere, Unreadable

if TYPE_CHECKING:
    from pathlib import Path

TEMPORARY = ".ec2zfs-partial-"


def performed(task: Task, carry: Callable[[Source, Sink], None], *, durable: bool, holes: bool = False) -> Done:
    """Read the task's source, and have the target in its place once `carry` has ended well.

    `durable`: the content is on the disk before it takes its name. Where a snapshot or a sync comes after all files
    anyhow, that costs much and gives nothing. `holes`: zeros take no room on the disk.

    Raises `Unreadable`, `Unwritable`, `NoSpace`, `AlreadyThere`, and what `carry` raises; then nothing new is there.
    """
    with opened(task.source) as reading:
        source = Source(reading, task.source)
        if task.target == NOWHERE:
            return Done(task, *_lost(source, carry))
        if not task.replace and os.path.lexists(task.target):
            raise _already(task)
        with _temporary(task.target) as (writing, temporary):
            sink = Sink(writing, task.target, holes=holes)
            carry(source, sink)
            sink.close()
            _put(task, writing, temporary, durable=durable)
        return Done(task, source.content(), sink.content())


def swept(directory: Path) -> int:
    """Remove from a directory the temporaries that nobody is writing any more; how many there were.

    Raises `Unreadable` for a directory that cannot be listed.
    """
    try:
        with os.scandir(directory) as entries:
            names = [entry.path for entry in entries if entry.name.startswith(TEMPORARY)]
    except OSError as error:
        raise Unreadable(f"{shown(str(directory))} cannot be listed: {error.strerror}.") from error
    return sum(_removed(name) for name in names)


@contextmanager
def opened(path: str) -> Iterator[int]:
    """Open a regular file for reading: never through a link, and never waiting for the other end of a fifo.

    Raises `Unreadable`.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise Unreadable(f"{shown(path)} cannot be read: {error.strerror}.") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Unreadable(f"{shown(path)} cannot be read: it is no regular file.")
        yield descriptor
    finally:
        os.close(descriptor)


def _lost(source: Source, carry: Callable[[Source, Sink], None]) -> tuple[Content, Content]:
    """What was read, and what was written to nowhere."""
    writing = os.open(NOWHERE, os.O_WRONLY | os.O_CLOEXEC)
    try:
        sink = Sink(writing, f"what {source.name} holds")
        carry(source, sink)
        sink.flush()
    finally:
        os.close(writing)
    return source.content(), sink.content()


@contextmanager
def _temporary(target: str) -> Iterator[tuple[int, str]]:
    name = f"{target[: target.rfind('/') + 1]}{TEMPORARY}{os.urandom(8).hex()}"
    try:
        descriptor = _locked_new(name)
    except OSError as error:
        raise unwritable(shown(target), error) from error
    try:
        yield descriptor, name
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
    finally:
        os.close(descriptor)


def _locked_new(name: str) -> int:
    while True:
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)  # swept between these two calls


def _put(task: Task, descriptor: int, temporary: str, *, durable: bool) -> None:
    try:
        if durable:
            os.fsync(descriptor)
        if task.replace:
            os.replace(temporary, task.target)
        else:
            os.link(temporary, task.target, follow_symlinks=False)
            os.unlink(temporary)
    except FileExistsError as error:
        raise _already(task) from error
    except OSError as error:
        raise unwritable(shown(task.target), error) from error


def _already(task: Task) -> AlreadyThere:
    return AlreadyThere(f"{shown(task.target)} stands there already; it was left as it is.")


def _removed(name: str) -> bool:
    with contextlib.suppress(FileNotFoundError, BlockingIOError):
        descriptor = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(name)
        finally:
            os.close(descriptor)
        return True
    return False
