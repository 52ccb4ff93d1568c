"""Datasets, their snapshots and bookmarks. Identity is the GUID, never a name."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class DatasetKind(StrEnum):
    """The `type` property of what can be replicated."""

    FILESYSTEM = "filesystem"
    VOLUME = "volume"


class Snapshot(NamedTuple):
    """A snapshot: `dataset@name`. `createtxg` orders the snapshots of one pool.

    A named tuple, since there are hundreds of thousands of them: a frozen dataclass takes twice as long to make.
    """

    dataset: str
    name: str
    guid: int
    createtxg: int

    def __str__(self) -> str:
        return f"{self.dataset}@{self.name}"


@dataclass(frozen=True)
class Bookmark:
    """A bookmark: `dataset#name`; `guid` and `createtxg` are those of the snapshot it was made of (fact 37)."""

    dataset: str
    name: str
    guid: int
    createtxg: int

    def __str__(self) -> str:
        return f"{self.dataset}#{self.name}"


@dataclass(frozen=True)
class ResumeToken:
    """What a broken-off `receive -s` left, with its contents decoded (fact 36).

    It comes from the receiver, so it is a claim to check, not a fact (peers, pain 8). `to_guid` is 0 when it could not
    be decoded; `from_guid` is 0 for a full stream; `foreign` names a content that no stream of ours has, else empty.
    """

    text: str
    to_guid: int = 0
    to_name: str = ""
    from_guid: int = 0
    raw: bool = False
    foreign: str = ""


@dataclass(frozen=True)
class Dataset:
    """A file system or volume with its history, oldest first.

    `encrypted`: ZFS's native encryption is on, so it is sent raw (fact 38). `written` is how many bytes it has changed
    since its newest snapshot, `partial` what a broken-off receive left in it. `held_for` are the cloud pools for which
    some snapshot of its ZFS pool may be held, `send` the flags with which it was first received ("" if not told).
    """

    name: str
    guid: int
    encrypted: bool
    snapshots: tuple[Snapshot, ...] = ()
    bookmarks: tuple[Bookmark, ...] = ()
    kind: DatasetKind = DatasetKind.FILESYSTEM
    written: int = 0
    partial: ResumeToken | None = None
    held_for: tuple[str, ...] = ()
    send: str = ""
