"""`zfs diff -FHt` of two snapshots, line by line as bytes: what ZFS says has changed, which is a hint and no truth.

Nothing is believed here and nothing left out but what has no path (fact 39; peers, pain 1).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ec2zfs.model.tree import Difference, DifferenceKind, FileKind

_ESCAPE = re.compile(rb"\\([0-7]{4})")
_FIELDS = 4
_DELETED = b"(on_delete_queue)"
"""Right after the mount point: the object has no name any more, only somebody who has it open (openzfs #17100)."""

_KINDS = {kind.value.encode(): kind for kind in FileKind}
_CHANGES = {change.value.encode(): change for change in DifferenceKind}


class UnreadableDiff(Exception):
    """A line that is none of `zfs diff`, as far as we know it: nothing of that diff can be relied on."""

    def __init__(self, line: bytes) -> None:
        super().__init__(f"`zfs diff` printed what cannot be read: {line[:200]!r}")


def diff_argv(old: str, new: str) -> tuple[str, ...]:
    """The words that print what changed from one snapshot of a mounted dataset to a later one."""
    return ("zfs", "diff", "-FHt", old, new)


def differences(lines: Iterable[bytes], mountpoint: bytes) -> Iterator[Difference]:
    """The lines' differences, with paths below the dataset's mount point. Raises `UnreadableDiff` for any other line.

    A line is `seconds.nanoseconds TAB change TAB class TAB path`, for a rename another TAB and path, for another number
    of hard links another TAB and `(+N)`. Bytes up to the space, from 0x7f, and the backslash are `\\dddd` in octal.
    """
    for line in lines:
        fields = line.rstrip(b"\n").split(b"\t")
        if len(fields) < _FIELDS or fields[1] not in _CHANGES:
            raise UnreadableDiff(line)
        if _text(fields[3]) != mountpoint.rstrip(b"/") + _DELETED:
            yield _difference(fields, mountpoint, line)


def _difference(fields: list[bytes], mountpoint: bytes, line: bytes) -> Difference:
    change = _CHANGES[fields[1]]
    paths = [_path(field, mountpoint, line) for field in fields[3:] if not _is_link_delta(field)]
    if len(paths) != 1 + (change is DifferenceKind.RENAMED):
        raise UnreadableDiff(line)
    return Difference(change, _KINDS.get(fields[2]), paths[0], paths[-1])


def _is_link_delta(field: bytes) -> bool:
    return re.fullmatch(rb"\([+-]\d+\)", field) is not None


def _path(field: bytes, mountpoint: bytes, line: bytes) -> bytes:
    text, root = _text(field), mountpoint.rstrip(b"/")
    if text.rstrip(b"/") == root:
        return b""
    if not text.startswith(root + b"/"):
        raise UnreadableDiff(line)
    return text[len(root) + 1 :].rstrip(b"/")


def _text(field: bytes) -> bytes:
    return _ESCAPE.sub(lambda found: bytes([int(found[1], 8) & 0xFF]), field)
