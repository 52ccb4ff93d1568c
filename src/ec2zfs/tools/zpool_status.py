"""What `zpool status` and `zpool list -v` print of an imported pool, read into a `PoolStatus`. Runs nothing.

The text form is parsed, since `-j` is there from OpenZFS 2.3 on only (fact 42) and receivers with 2.1 are served too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise, takewhile

from ec2zfs.model.pool import DeviceState, Member, MemberName, PoolStatus, Vdev
from ec2zfs.tools.zpool import ListedPool, fields_of, flat
from ec2zfs.tools.zpool_scan import scan_of

SCRUBBED = "%Y-%m-%dT%H:%M:%SZ"
"""How the time of a clean scrub stands in the property ec2zfs:scrubbed of the pool's root dataset; UTC."""

_GROUPS = re.compile(r"(replacing|spare)-\d+")
_MARKS = ("(resilvering)", "(awaiting resilver)")


def pool_status(listed: ListedPool, text: str, *, sizes: str = "", scrubbed: str = "") -> PoolStatus:
    """Parse `zpool status -P -p POOL` of a pool that `zpool list` told of.

    `sizes` is what `zpool list -H -P -p -v POOL` printed, `scrubbed` the value of the property, `-` for none.
    """
    fields = dict(fields_of(text))
    return PoolStatus(
        name=listed.name,
        guid=listed.guid,
        state=DeviceState(fields.get("state", listed.health)),
        vdevs=_measured(_vdevs(fields.get("config", "")), sizes),
        size=listed.size,
        allocated=listed.allocated,
        free=listed.free,
        scan=scan_of(fields.get("scan", "")),
        status=flat(fields.get("status", "")),
        errors=flat(fields.get("errors", "")),
        scrubbed=_time(scrubbed.strip()),
    )


def _time(value: str) -> datetime | None:
    """What we wrote; anything else counts as nothing, and the pool is scrubbed once more."""
    try:
        return datetime.strptime(value, SCRUBBED).replace(tzinfo=UTC)
    except ValueError:
        return None


def _measured(vdevs: Sequence[Vdev], sizes: str) -> tuple[Vdev, ...]:
    """The vdevs with their sizes: name, size, allocated, free, checkpoint, expandable and more, after a tab each.

    Vdevs and leaves look alike in that list, and are told apart by their names: a leaf's is a path.
    """
    rows = {row[1]: row[2:] for row in (line.split("\t") for line in sizes.splitlines()) if row[0] == "" and row[1:]}
    return tuple(_with_sizes(vdev, rows[vdev.name]) if vdev.name in rows else vdev for vdev in vdevs)


def _with_sizes(vdev: Vdev, row: Sequence[str]) -> Vdev:
    size, allocated, _free, _checkpoint, expandable = (0 if word == "-" else int(word) for word in row[:5])
    return replace(vdev, size=size, allocated=allocated, expandable=expandable)


@dataclass(frozen=True)
class _Line:
    depth: int
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.words[0]

    @property
    def leaf(self) -> bool:
        """With -P a leaf is a path, or the number of one whose device is gone; a group is a word."""
        return self.name.startswith("/") or self.name.isdigit()


def _vdevs(config: str) -> tuple[Vdev, ...]:
    """The tree under the pool's own line, which stands at depth 0 under the headings; a level is two blanks.

    A `replacing` or `spare` group counts as part of its vdev: its leaves are members of the vdev. What follows at
    depth 0 again (`logs`, `cache`, `spares`) is none.
    """
    lines = [_Line((len(line) - len(line.lstrip()) - 1) // 2, tuple(line.split())) for line in config.splitlines()]
    lines = [line for line in lines if line.words]
    tree = list(takewhile(lambda line: line.depth > 0, lines[2:]))
    tops = [index for index, line in enumerate(tree) if line.depth == 1]
    return tuple(_vdev(tree[start:end]) for start, end in pairwise([*tops, len(tree)]))


def _vdev(part: Sequence[_Line]) -> Vdev:
    """A top-level vdev; a lone disk is one too, also while it is replaced."""
    top = part[0]
    lone = top.leaf or _GROUPS.fullmatch(top.name)
    kind = "disk" if lone else top.name.rpartition("-")[0]
    return Vdev(top.name, kind, DeviceState(top.words[1]), tuple(_members(part)))


def _members(part: Sequence[_Line]) -> Iterator[Member]:
    """The leaves; those that stand deeper than a `replacing` group, and after it, are its halves."""
    replacing: int | None = None
    for line in part:
        if replacing is not None and line.depth <= replacing:
            replacing = None
        if _GROUPS.fullmatch(line.name):
            replacing = line.depth
        if line.leaf:
            yield _member(line, replacing=replacing is not None)


def _member(line: _Line, *, replacing: bool) -> Member:
    """A leaf: path, state, three counters, remarks; for one that is gone `was /dev/…`, with its name a number."""
    path = line.words[line.words.index("was") + 1] if "was" in line.words else line.name
    counters = [int(word) for word in line.words[2:5] if word.isdigit()]
    read, write, checksum = counters if len(counters) == 3 else (0, 0, 0)
    name = MemberName.parse(path)
    return Member(
        path=path,
        state=DeviceState(line.words[1]),
        read_errors=read,
        write_errors=write,
        checksum_errors=checksum,
        place=name.place if name else None,
        generation=name.generation if name else None,
        guid=line.name if line.name.isdigit() else "",
        replacing=replacing,
        resilvering=any(mark in " ".join(line.words) for mark in _MARKS),
    )
