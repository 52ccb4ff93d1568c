"""Segments of the manifest: records as lines, compressed and encrypted as they come, so none is on a disk in clear.

Lines of JSON in gzip in OpenPGP or age: `gpg --decrypt 000001.gpg | zcat` prints one.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import threading
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from ec2zfs.encryption import formats
from ec2zfs.encryption.files import opened
from ec2zfs.encryption.identities import Identity
from ec2zfs.encryption.interface import Content, Recipients
from ec2zfs.encryption.streams import Sink, Source, shown, unwritable
from ec2zfs.errors import Damaged
from ec2zfs.staging import records
from ec2zfs.staging.records import End, Head, Record

_PIPE_BYTES = 1 << 18
_PIECE = 1 << 16
_QUICK = 1
"""How hard gzip tries: names and numbers come to a fifth even so."""


class SegmentWriter:
    """Writes a new segment. When its `with` statement has ended well, the segment is whole and `content` its digest."""

    def __init__(self, path: Path, recipients: Recipients) -> None:
        self.content = Content(0, b"")
        self._path = path
        self._recipients = recipients
        self._waiting = bytearray()
        self._fault: BaseException | None = None

    def __enter__(self) -> Self:
        try:
            self._target = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise unwritable(shown(str(self._path)), error) from error
        reading, writing = os.pipe()
        self._pipe = os.fdopen(writing, "wb", _PIPE_BYTES)
        self._lines = gzip.GzipFile("", "wb", _QUICK, self._pipe, mtime=0)
        self._thread = threading.Thread(target=self._encrypt, args=(reading,), daemon=True)
        self._thread.start()
        return self

    def write(self, record: Record) -> None:
        """Add a record. Raises what encrypting it, or its disk, does."""
        self._waiting += records.written(record)
        if len(self._waiting) >= _PIECE:
            self._pass_on()

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if kind is None:
            self.write(End())
            self._pass_on()
        with contextlib.suppress(BrokenPipeError):
            self._lines.close()
        with contextlib.suppress(BrokenPipeError):
            self._pipe.close()
        self._thread.join()
        os.close(self._target)
        if kind is None and self._fault is not None:
            raise self._fault

    def _pass_on(self) -> None:
        try:
            self._lines.write(self._waiting)
            self._waiting.clear()
        except BrokenPipeError:
            self._thread.join()
            raise (self._fault or Damaged(f"{shown(str(self._path))} was not written.")) from None

    def _encrypt(self, reading: int) -> None:
        sink = Sink(self._target, str(self._path))
        try:
            with closing(formats.encryptor(self._recipients)) as encryptor:
                encryptor.encrypt(Source(reading, "the manifest"), sink)
            sink.flush()
            self.content = sink.content()
        except BaseException as fault:  # noqa: BLE001 - raised again in the thread that writes
            self._fault = fault
        finally:
            os.close(reading)


def read_segment(path: Path, identity: Identity) -> Iterator[Record]:
    """The records of a segment, `Head` first; `End` is not among them.

    What was given when this raises is not to be trusted. Raises `WrongIdentity`, `Damaged`, `Unreadable`.
    """
    try:
        with _decrypted(path, identity) as lines:
            yield from _whole(lines)
    except (ValueError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise Damaged(f"{shown(str(path))} is no segment of a manifest: {error}.") from error


def _whole(lines: Iterable[bytes]) -> Iterator[Record]:
    """The records; ValueError unless they go from a head to an end."""
    last: Record | None = None
    for line in lines:
        record = records.read(line)
        if isinstance(last, End) or isinstance(record, Head) != (last is None):
            raise ValueError("there is more than goes from a head to an end")
        last = record
        if not isinstance(record, End):
            yield record
    if not isinstance(last, End):
        raise ValueError("its end is missing")  # noqa: TRY004 - what is told is not whole


@contextmanager
def _decrypted(path: Path, identity: Identity) -> Iterator[gzip.GzipFile]:
    reading, writing = os.pipe()
    decrypting = _Decrypting(path, identity, writing)
    try:
        with os.fdopen(reading, "rb", _PIPE_BYTES) as pipe:
            try:
                yield gzip.GzipFile(fileobj=pipe)
            except Exception:
                while pipe.read(_PIPE_BYTES):
                    pass
                decrypting.judge()  # if it cannot be decrypted, that is the reason for whatever else was wrong
                raise
    finally:
        decrypting.thread.join()
    decrypting.judge()


class _Decrypting:
    """A thread that decrypts into a pipe."""

    def __init__(self, path: Path, identity: Identity, writing: int) -> None:
        self._path = path
        self._identity = identity
        self._writing = writing
        self._fault: BaseException | None = None
        self.thread = threading.Thread(target=self._decrypt, daemon=True)
        self.thread.start()

    def judge(self) -> None:
        """Raise what was wrong with it, once it has ended."""
        self.thread.join()
        if self._fault is not None:
            raise self._fault

    def _decrypt(self) -> None:
        name = str(self._path)
        try:
            with opened(name) as ciphertext, closing(formats.decryptor(self._identity)) as decryptor:
                sink = Sink(self._writing, name)
                decryptor.decrypt(Source(ciphertext, name), sink)
                sink.flush()
        except BaseException as fault:  # noqa: BLE001 - raised again in the thread that reads
            self._fault = fault
        finally:
            os.close(self._writing)
