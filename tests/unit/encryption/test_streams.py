"""What is read and written passes whole, whichever way it is taken, and its digest is that of what passed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator

import pytest
from blake3 import blake3

from ec2zfs.encryption.interface import Content
from ec2zfs.encryption.streams import Sink, Source

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


@pytest.mark.parametrize("way", [by_pieces, by_a_library])
@pytest.mark.parametrize("head", [0, 1, 32 * KIB, MIB + 1, 5 * MIB])
@pytest.mark.parametrize("size", SIZES)
def test_all_passes_and_nothing_else(size: int, head: int, way: Callable[[Source], Iterator[bytes]]) -> None:
    content = os.urandom(min(size, 100 * KIB)).ljust(size, b"x")
    passed = Content(size, blake3(content).digest())
    with tempfile.TemporaryFile() as before, tempfile.TemporaryFile() as after:
        before.write(content)
        before.seek(0)
        source, sink = Source(before.fileno(), "before"), Sink(after.fileno(), "after")
        assert not head or source.head(head) == content[:head]
        for piece in way(source):
            sink.write(piece)
        sink.close()
        assert (source.content(), sink.content()) == (passed, passed)
        after.seek(0)
        assert after.read() == content
