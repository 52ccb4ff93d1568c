"""The two ends of an encryption: descriptors that are read and written in order, and remember what has passed.

A fault of the disk is told here, where the file's name is known, so a format never mistakes it for one of its own.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ec2zfs.encryption.interface import Content
from ec2zfs.errors import Ec2zfsError, NoSpace, Unreadable, Unwritable

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

_BUFFER = 64 << 10
_PIECE = 1 << 20
_FIRST = 32 << 10
_BLOCK = 64 << 10
_ZEROS = bytes(_BLOCK)
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class _Passed:
    def __init__(self) -> None:
        self._size = 0
        self._digest = hashlib.sha256()

    def count(self, data: ReadableBuffer) -> None:
        view = memoryview(data)
        self._size += view.nbytes
        self._digest.update(view)

    def content(self) -> Content:
        return Content(self._size, self._digest.digest())


class _Descriptor(io.RawIOBase):
    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor = descriptor
        self._name = name
        self.passed = _Passed()
        self.fault: Ec2zfsError | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        try:
            size = os.readv(self._descriptor, [view])
        except OSError as error:
            self.fault = Unreadable(f"{self._name} cannot be read: {error.strerror}.")
            raise self.fault from error
        self.passed.count(view[:size])
        return size


class Source:
    """What is read from an open descriptor, from where that stands; `name` is for errors."""

    def __init__(self, descriptor: int, name: str) -> None:
        self._raw = _Descriptor(descriptor, name)
        self._buffered = io.BufferedReader(self._raw, _BUFFER)
        self.name = name

    @property
    def fault(self) -> Ec2zfsError | None:
        """Why it could not be read, if so."""
        return self._raw.fault

    def read(self, size: int) -> bytes:
        """The next `size` bytes, or fewer at the end. Raises `Unreadable`."""
        return self._buffered.read(size)

    def head(self, size: int) -> bytes:
        """The first `size` bytes, or all. Raises `Unreadable`. Small files need no room for large ones."""
        first = self.read(min(size, _FIRST))
        return first if len(first) < _FIRST else first + self.read(size - len(first))

    def pieces(self, head: bytes = b"") -> Iterator[bytes]:
        """All that is left, in pieces, after `head`, which was read before."""
        while head:
            yield head
            head = self._buffered.read(_PIECE)

    def content(self) -> Content:
        """What has been read up to now."""
        return self._raw.passed.content()


class Sink:
    """What is written to an open descriptor; `name` is for errors. What was not flushed is never written by itself.

    `holes`: the descriptor is a new file's, in which blocks of zeros become holes.
    """

    def __init__(self, descriptor: int, name: str, *, holes: bool = False) -> None:
        self._descriptor = descriptor
        self._holes = holes
        self._pending = bytearray()
        self._passed = _Passed()
        self.name = name
        self.fault: Ec2zfsError | None = None

    def write(self, data: bytes) -> int:
        """Take the next bytes. Raises `NoSpace`, or `Unwritable` for any other fault of the disk."""
        if len(self._pending) + len(data) < _BUFFER:
            self._pending += data
        else:
            self.flush()
            self._write(data)
        return len(data)

    def flush(self) -> None:
        """Have all that was taken written. Raises as `write` does."""
        self._write(self._pending)
        self._pending = bytearray()

    def close(self) -> None:
        """Have all that was taken written, and a hole at the end too. Raises as `write` does."""
        self.flush()
        if self._holes:
            with self._told():
                os.ftruncate(self._descriptor, self.content().size)

    def content(self) -> Content:
        """What has been written up to now."""
        return self._passed.content()

    def _write(self, data: bytes | bytearray) -> None:
        view = memoryview(data)
        with self._told():
            if self._holes:
                for at in range(0, len(view), _BLOCK):
                    self._put_or_leave(view[at : at + _BLOCK])
            else:
                self._put(view)
        self._passed.count(data)

    def _put_or_leave(self, block: memoryview) -> None:
        if not block[0] and block.tobytes() == _ZEROS[: len(block)]:
            os.lseek(self._descriptor, len(block), os.SEEK_CUR)
        else:
            self._put(block)

    def _put(self, left: memoryview) -> None:
        while left:
            left = left[os.write(self._descriptor, left) :]

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.fault = unwritable(self.name, error)
            raise self.fault from error


def unwritable(name: str, error: OSError) -> Ec2zfsError:
    """The error that a failure to write a file means."""
    if error.errno in _FULL:
        return NoSpace(f"There is no room for {name}: {error.strerror}.", hint="Make room there, and run it again.")
    return Unwritable(f"{name} cannot be written: {error.strerror}.")
