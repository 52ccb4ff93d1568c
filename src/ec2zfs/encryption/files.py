"""Puts what an encryption gives into its place: whole, or not at all when it fails. Nothing here knows a format.

Whoever is killed leaves half a target. Those who give tasks have them done where nobody looks before all went well, and
drop what was interrupted; so a new file needs no temporary name, which costs as much as the rest of its making.
"""

# A Path of each name would take a fifth of a small file's time.
# ruff: noqa: PTH105, PTH108

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ec2zfs.encryption.interface import NOWHERE, Content, Done, Task
from ec2zfs.encryption.streams import Sink, Source, shown, unwritable
from ec2zfs.errors import AlreadyThere, Unreadable

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def performed(task: Task, carry: Callable[[Source, Sink], None], *, durable: bool, holes: bool = False) -> Done:
    """Read the task's source, and have what `carry` makes of it in the target.

    `durable`: the content is on the disk before this returns. Where a snapshot or a sync comes after all files
    anyhow, that costs much and gives nothing. `holes`: zeros take no room on the disk.

    Raises `Unreadable`, `Unwritable`, `NoSpace`, `AlreadyThere`, and what `carry` raises; then nothing new is there.
    """
    with opened(task.source) as reading:
        source = Source(reading, task.source)
        if task.target == NOWHERE:
            return Done(task, *_lost(source, carry))
        with _made(task, durable=durable) as writing:
            sink = Sink(writing, task.target, holes=holes)
            carry(source, sink)
            sink.close()
        return Done(task, source.content(), sink.content())


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
def _made(task: Task, *, durable: bool) -> Iterator[int]:
    """A new file that is the target's, and no file any more when what is done with it fails."""
    name, descriptor = _new(task)
    try:
        yield descriptor
        try:
            if durable:
                os.fsync(descriptor)
            if name != task.target:
                os.replace(name, task.target)
        except OSError as error:
            raise unwritable(shown(task.target), error) from error
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
    finally:
        os.close(descriptor)


def _new(task: Task) -> tuple[str, int]:
    """The name and the descriptor of a new file: the target's own name, if nothing has it."""
    name = task.target
    try:
        if task.replace and os.path.lexists(name):
            name = f"{name[: name.rfind('/') + 1]}.ec2zfs-partial-{os.urandom(8).hex()}"
        return name, os.open(name, _NEW, 0o600)
    except FileExistsError as error:
        raise AlreadyThere(f"{shown(task.target)} stands there already; it was left as it is.") from error
    except OSError as error:
        raise unwritable(shown(task.target), error) from error
