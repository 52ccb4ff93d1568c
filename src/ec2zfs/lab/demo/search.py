"""Looks for byte strings in files of any size, holes skipped: the proof that something is nowhere, or somewhere."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

BLOCK = 8 << 20


@dataclass(frozen=True)
class Find:
    """A needle, by its name, and where it was seen."""

    needle: str
    path: Path
    offset: int

    def __str__(self) -> str:
        return f"{self.needle} in {self.path} at byte {self.offset}"


def finds(paths: Iterable[Path], needles: Mapping[str, bytes]) -> list[Find]:
    """The first place of every needle in every file."""
    found: list[Find] = []
    for path in paths:
        missing = dict(needles)
        for offset, block in _blocks(path, overlap=max(map(len, needles.values())) - 1):
            here = [name for name, needle in missing.items() if needle in block]
            found += [Find(name, path, offset + block.index(missing.pop(name))) for name in here]
    return found


def _blocks(path: Path, overlap: int) -> Iterator[tuple[int, bytes]]:
    """Data of the file with its offset; each block begins with the end of the one before it."""
    with path.open("rb", buffering=0) as file:
        for start, end in _extents(file.fileno()):
            tail, position = b"", start
            file.seek(start)
            while position < end and (block := file.read(min(BLOCK, end - position))):
                yield position - len(tail), tail + block
                position += len(block)
                tail = (tail + block)[-overlap:] if overlap else b""


def _extents(descriptor: int) -> Iterator[tuple[int, int]]:
    """Where the file has data; a needle across a hole's edge would have to hold zeros."""
    position = 0
    while True:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        position = os.lseek(descriptor, start, os.SEEK_HOLE)
        yield start, position
