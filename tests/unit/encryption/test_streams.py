"""What is read and written passes whole, whichever way it is taken, and its digest is that of what passed."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from blake3 import blake3

from ec2zfs.encryption.interface import Content
from ec2zfs.encryption.streams import Sink, Source
from ec2zfs.errors import NoSpace

KIB, MIB = 1 << 10, 1 << 20
SIZES = [0, 1, 32 * KIB - 1, 32 * KIB, 32 * KIB + 1, MIB, MIB + 1, 4 * MIB, 4 * MIB + 1, 9 * MIB]


def by_pieces(source: Source) -> Iterator[bytes]:
    yield from source.pieces()
    assert not source.next(1)


def by_a_library(source: Source) -> Iterator[bytes]:
    reader = source.stream()
    while piece := reader.read(8 * KIB):
        yield piece
    assert not reader.read(1)


@contextmanager
def at_once(_: Sink) -> Iterator[None]:
    yield


@pytest.mark.parametrize("written", [at_once, Sink.beside])
@pytest.mark.parametrize("way", [by_pieces, by_a_library])
@pytest.mark.parametrize("head", [0, 1, 32 * KIB, MIB + 1, 5 * MIB])
@pytest.mark.parametrize("size", SIZES)
def test_all_passes_and_nothing_else(
    size: int,
    head: int,
    way: Callable[[Source], Iterator[bytes]],
    written: Callable[[Sink], AbstractContextManager[None]],
) -> None:
    content = os.urandom(min(size, 100 * KIB)).ljust(size, b"x")
    passed = Content(size, blake3(content).digest())
    with tempfile.TemporaryFile() as before, tempfile.TemporaryFile() as after:
        before.write(content)
        before.seek(0)
        source, sink = Source(before.fileno(), "before"), Sink(after.fileno(), "after")
        assert not head or source.head(head) == content[:head]
        with written(sink):
            for piece in way(source):
                sink.write(piece)
        sink.close()
        assert (source.content(), sink.content()) == (passed, passed)
        after.seek(0)
        assert after.read() == content


@pytest.mark.parametrize("pieces", [1, 40])
def test_a_fault_of_what_writes_beside_is_raised_where_it_was_given(pieces: int) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        sink = Sink(full, "after")
        with pytest.raises(NoSpace, match="no room for after"), sink.beside():
            _written(sink, pieces)
        assert sink.content().size == 0
    finally:
        os.close(full)


def _written(sink: Sink, pieces: int) -> None:
    for _ in range(pieces):
        sink.write(bytes(MIB))


def test_what_breaks_off_ends_what_writes_beside() -> None:
    with tempfile.TemporaryFile() as after:
        sink = Sink(after.fileno(), "after")
        with pytest.raises(KeyboardInterrupt), sink.beside():
            _broken_off(sink)
        assert sink.content().size == 3 * MIB
    assert threading.active_count() == 1


def _broken_off(sink: Sink) -> None:
    sink.write(bytes(3 * MIB))
    raise KeyboardInterrupt
