"""The records of the manifest: what one says, and how it is written as a line of JSON.

A name in a directory and what stands behind it are told apart, so a directory of a million files is moved by two
records. Replayed from the first, or from a base, they give the whole tree of the snapshot that the last stands for.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any, NamedTuple

from ec2zfs.model.tree import FileKind


class Head(NamedTuple):
    """The first record: which snapshot the segment stands for (see `Label`), and the inode of the tree's root.

    `base`: the names and metadata of the whole tree follow; what was said of them before counts no more.
    """

    dataset: str
    snapshot: str
    guid: int
    created: int
    root: int
    base: bool


class Unnamed(NamedTuple):
    """A directory has this name no more. Of one segment, these come before any `Named`."""

    directory: int
    name: bytes


class Gone(NamedTuple):
    """An object has no name any more; its number may come again, for another one."""

    inode: int


class Named(NamedTuple):
    """A name in a directory stands for this object from now on."""

    directory: int
    name: bytes
    inode: int


class Meta(NamedTuple):
    """Everything about an object but its names and content. `modified` in nanoseconds since 1970, `size` in bytes.

    `attributes` are extended ones, POSIX ACLs among them; `target` is a symbolic link's, `device` major and minor.
    """

    inode: int
    kind: FileKind
    mode: int
    owner: int
    group: int
    modified: int
    size: int
    attributes: dict[str, bytes]
    target: bytes | None
    device: tuple[int, int] | None


class Stored(NamedTuple):
    """A file's content was encrypted: size and digest of it, and of the object that it became."""

    inode: int
    size: int
    digest: bytes
    object_size: int
    object_digest: bytes


class Unread(NamedTuple):
    """An object, or its content, could not be read: the folder has none of it, or an older one."""

    inode: int
    why: str


class End(NamedTuple):
    """The last record: nothing of the segment is missing."""


Record = Head | Unnamed | Gone | Named | Meta | Stored | Unread | End

_KINDS: dict[str, type[Any]] = {
    "head": Head,
    "unnamed": Unnamed,
    "gone": Gone,
    "named": Named,
    "meta": Meta,
    "stored": Stored,
    "unread": Unread,
    "end": End,
}
_TAGS = {kind: tag for tag, kind in _KINDS.items()}


def written(record: Record) -> bytes:
    """The record as a line."""
    told = record._asdict()
    for field, write, _ in _CONVERTED[type(record)]:
        if told[field] is not None:
            told[field] = write(told[field])
    return _encoded({_TAGS[type(record)]: told}).encode() + b"\n"


def read(line: bytes) -> Record:
    """The record that a line is. Raises ValueError for one that is none."""
    try:
        ((tag, told),) = json.loads(line).items()
        for field, _, back in _CONVERTED[_KINDS[tag]]:
            if told[field] is not None:
                told[field] = back(told[field])
        record: Record = _KINDS[tag](**told)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise ValueError(f"{line[:80]!r} is no record of a manifest") from error
    return record


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


_CONVERSIONS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "name": (_text, _raw),
    "target": (_text, _raw),
    "kind": (lambda kind: kind.name.lower(), lambda text: FileKind[text.upper()]),
    "digest": (bytes.hex, bytes.fromhex),
    "object_digest": (bytes.hex, bytes.fromhex),
    "attributes": (
        lambda found: {each: base64.b64encode(value).decode() for each, value in found.items()},
        lambda found: {each: base64.b64decode(value) for each, value in found.items()},
    ),
    "device": (list, tuple),
}

_CONVERTED = {
    kind: [(field, *_CONVERSIONS[field]) for field in kind._fields if field in _CONVERSIONS] for kind in _KINDS.values()
}
_encoded = json.JSONEncoder(separators=(",", ":")).encode
