"""The two ends of an encryption: descriptors that are read and written in order, and remember what has passed.

A fault of the disk is told here, where the file's name is known, so a format never mistakes it for one of its own.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import queue
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ec2zfs.encryption.digests import Passed
from ec2zfs.errors import Ec2zfsError, NoSpace, Unreadable, Unwritable

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from ec2zfs.encryption.interface import Content

_PIECE = 1 << 20
_AHEAD = 256 << 10
"""What is read at once for a library that reads small pieces: it is still in the processor's cache when that comes."""
_BUFFER = 60 << 10
"""What is written at once at the least; a library that streams gives somewhat less than 64 KiB, which is not copied."""
_FIRST = 32 << 10
_BESIDE = 4
_BLOCK = 64 << 10
_ZEROS = bytes(_BLOCK)
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Source:
    """What is read from an open descriptor, from where that stands; `path` is for errors."""

    def __init__(self, descriptor: int, path: str) -> None:
        self._descriptor = descriptor
        self._path = path
        self._head = b""
        self._passed = Passed()
        self.fault: Ec2zfsError | None = None

    @property
    def name(self) -> str:
        """How errors call it."""
        return shown(self._path)

    def head(self, size: int) -> bytes:
        """The first `size` bytes, or all, which are read again by what follows. Raises `Unreadable`.

        A small file needs no room for a large one. To be asked for once, and first.
        """
        pieces, left = [self._read(min(size, _FIRST))], size
        while pieces[-1] and (left := left - len(pieces[-1])):
            pieces.append(self._read(left))
        self._head = b"".join(pieces)
        return self._head

    def stream(self) -> io.BufferedReader:
        """All of it for a library, which may read small pieces."""
        return io.BufferedReader(_Unread(self), _AHEAD)

    def pieces(self) -> Iterator[bytes]:
        """All of it, in pieces. Raises `Unreadable`."""
        while piece := self.next():
            yield piece

    def next(self, size: int = _PIECE) -> bytes:
        """The next bytes, at most so many; none at the end. Raises `Unreadable`."""
        if not self._head:
            return self._read(size)
        piece, self._head = self._head[:size], self._head[size:]
        return piece

    def fill(self, view: memoryview) -> int:
        """Put the next bytes into the view; how many. Raises `Unreadable`."""
        if self._head:
            data = self.next(len(view))
            view[: len(data)] = data
            return len(data)
        try:
            size = os.readv(self._descriptor, [view])
        except OSError as error:
            raise self._unreadable(error) from error
        self._passed.count(view[:size])
        return size

    def size(self) -> int:
        """How long the file is, if it is one; else 0."""
        return os.fstat(self._descriptor).st_size

    def content(self) -> Content:
        """What has been read up to now."""
        return self._passed.content()

    def _read(self, size: int) -> bytes:
        try:
            data = os.read(self._descriptor, size)
        except OSError as error:
            raise self._unreadable(error) from error
        self._passed.count(data)
        return data

    def _unreadable(self, error: OSError) -> Ec2zfsError:
        self.fault = Unreadable(f"{self.name} cannot be read: {error.strerror}.")
        return self.fault


class _Unread(io.RawIOBase):
    """What a source has not given yet."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        return self._source.fill(memoryview(buffer))


class Sink:
    """What is written to an open descriptor; `path` is for errors. What was not flushed is never written by itself.

    `holes`: the descriptor is a new file's, in which blocks of zeros become holes.
    """

    def __init__(self, descriptor: int, path: str, *, holes: bool = False) -> None:
        self._descriptor = descriptor
        self._path = path
        self._holes = holes
        self._pending = bytearray()
        self._buffer = _BUFFER
        self._beside: queue.Queue[bytes | bytearray | None] | None = None
        self._passed = Passed()
        self.fault: BaseException | None = None

    @property
    def name(self) -> str:
        """How errors call it."""
        return shown(self._path)

    def write(self, data: bytes) -> int:
        """Take the next bytes. Raises `NoSpace`, or `Unwritable` for any other fault of the disk."""
        if len(data) >= self._buffer and not self._pending:
            self._write(data)
        else:
            self._pending += data
            if len(self._pending) >= self._buffer:
                self.flush()
        return len(data)

    def flush(self) -> None:
        """Have all that was taken written. Raises as `write` does."""
        data, self._pending = self._pending, bytearray()
        self._write(data)

    def close(self) -> None:
        """Have all that was taken written, and a hole at the end too. Raises as `write` does."""
        self.flush()
        if self._holes:
            try:
                os.ftruncate(self._descriptor, self._passed.size)
            except OSError as error:
                raise self._unwritable(error) from error

    @contextlib.contextmanager
    def beside(self) -> Iterator[None]:
        """A block in which a thread writes and hashes what was taken; raises at its end what is met, if not before."""
        waiting: queue.Queue[bytes | bytearray | None] = queue.Queue(_BESIDE)
        thread = threading.Thread(target=self._serve, args=(waiting,), daemon=True)
        thread.start()
        self._beside, self._buffer = waiting, _PIECE
        try:
            yield
            self.flush()
        finally:
            self._beside, self._buffer = None, _BUFFER
            waiting.put(None)
            thread.join()
        if self.fault is not None:
            raise self.fault

    def content(self) -> Content:
        """What has been written up to now."""
        return self._passed.content()

    def _write(self, data: bytes | bytearray) -> None:
        if self._beside is None:
            self._put_through(data)
        elif self.fault is not None:
            raise self.fault
        else:
            self._beside.put(data)

    def _serve(self, waiting: queue.Queue[bytes | bytearray | None]) -> None:
        while (data := waiting.get()) is not None:
            if self.fault is None:
                try:
                    self._put_through(data)
                except BaseException as fault:  # noqa: BLE001 - raised again in the thread that gives
                    self.fault = fault

    def _put_through(self, data: bytes | bytearray) -> None:
        view = memoryview(data)
        try:
            if self._holes:
                for at in range(0, len(view), _BLOCK):
                    self._put_or_leave(view[at : at + _BLOCK])
            else:
                self._put(view)
        except OSError as error:
            raise self._unwritable(error) from error
        self._passed.count(data)

    def _put_or_leave(self, block: memoryview) -> None:
        if not block[0] and block.tobytes() == _ZEROS[: len(block)]:
            os.lseek(self._descriptor, len(block), os.SEEK_CUR)
        else:
            self._put(block)

    def _put(self, left: memoryview) -> None:
        while left:
            left = left[os.write(self._descriptor, left) :]

    def _unwritable(self, error: OSError) -> Ec2zfsError:
        self.fault = fault = unwritable(self.name, error)
        return fault


def shown(path: str) -> str:
    """A path as an error can print it: what is no UTF-8, or would move a terminal's cursor, as escapes."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def unwritable(name: str, error: OSError) -> Ec2zfsError:
    """The error that a failure to write a file means."""
    if error.errno in _FULL:
        return NoSpace(f"There is no room for {name}: {error.strerror}.", hint="Make room there, and run it again.")
    return Unwritable(f"{name} cannot be written: {error.strerror}.")
