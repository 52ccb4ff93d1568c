"""What bringing a folder to a snapshot comes to: how far it is, and what it was in the end."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Advance:
    """How far it is: files encrypted, their bytes before that, and files that could not be read."""

    files: int
    bytes: int
    unread: int


@dataclass(frozen=True)
class UnreadFile:
    """What could not be read, by a path in the source, and why. It is tried again by the next run."""

    path: bytes
    why: str


@dataclass(frozen=True)
class Report:
    """What was done. The folder is the snapshot when `unread` is empty, as far as the hints led to what had changed.

    `number` is the segment's, `base` whether it states the whole tree. `entries` is how many differences the hints
    were made of; `missed` what the comparison found that none of them told of (without hints: all of it).
    `encrypted` counts files and `bytes` their contents; `moved` names that came from elsewhere, `removed` objects of
    any kind. `mended`: what an earlier run had left otherwise than the source was, which only a base finds.
    """

    number: int
    base: bool
    entries: int
    missed: int
    encrypted: int
    bytes: int
    moved: int
    removed: int
    mended: int
    unread: tuple[UnreadFile, ...]


@dataclass
class Tally:
    """The figures while they grow."""

    missed: int = 0
    encrypted: int = 0
    bytes: int = 0
    moved: int = 0
    removed: int = 0
    mended: int = 0
    unread: list[UnreadFile] = field(default_factory=list)

    def advance(self) -> Advance:
        """How far it is."""
        return Advance(self.encrypted, self.bytes, len(self.unread))

    def report(self, number: int, entries: int, *, base: bool) -> Report:
        """What it was in the end."""
        return Report(
            number,
            base,
            entries,
            self.missed,
            self.encrypted,
            self.bytes,
            self.moved,
            self.removed,
            self.mended,
            tuple(self.unread),
        )
