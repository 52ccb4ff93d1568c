"""zpool(8): the arguments that create a pool, and what `list`, `status` and `import` print.

The text form is parsed, since `-j` is there from OpenZFS 2.3 on only (fact 42) and receivers with 2.1 are served too.
Runs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile

from ec2zfs.model.contents import ImportablePool
from ec2zfs.model.layout import Redundancy
from ec2zfs.model.pool import DeviceState, Member, MemberName, PoolStatus, Vdev

COMPATIBILITY = "openzfs-2.1-linux"
"""Older rescue systems import the pool too (fact 53); zfs send -L -e -c needs no feature beyond these."""

LISTED = "name,guid,size,allocated,free,health"

_POOL_PROPERTIES = (
    "ashift=12",  # EBS shows sectors of 512 bytes and would get 9 (fact 44)
    "autoexpand=off",  # unreliable on EBS; `pool grow` expands each member itself (fact 6)
    "cachefile=none",  # a receiver never imports the pool by itself at boot (fact 43)
    f"compatibility={COMPATIBILITY}",
)
_DATASET_PROPERTIES = (
    "acltype=posix",
    "atime=off",
    "canmount=off",
    "compression=lz4",
    "mountpoint=none",
    "recordsize=1M",  # fewer and larger blocks for raidz and for sc1's few operations (facts 2, 44)
    "xattr=sa",
)
_FIELD = re.compile(r"^ {0,5}(\w+): ?(.*)$")


@dataclass(frozen=True)
class ListedPool:
    """A line of `zpool list`; sizes in bytes."""

    name: str
    guid: int
    size: int
    allocated: int
    free: int
    health: str


def create_arguments(name: str, redundancy: Redundancy, vdevs: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """What follows `zpool create`: without -f, so that ZFS refuses what holds a pool or a file system already."""
    options = [word for value in _POOL_PROPERTIES for word in ("-o", value)]
    options += [word for value in _DATASET_PROPERTIES for word in ("-O", value)]
    tree = [word for paths in vdevs for word in (redundancy.value, *paths)]
    return (*options, "-R", "/mnt", name, *tree)


def listed_pools(text: str) -> tuple[ListedPool, ...]:
    """Parse `zpool list -H -p -o LISTED`. A pool that is not available has `-` for its sizes."""
    rows = [line.split("\t") for line in text.splitlines() if line.strip()]
    return tuple(
        ListedPool(name, int(guid), _bytes(size), _bytes(allocated), _bytes(free), health)
        for name, guid, size, allocated, free, health in rows
    )


def pool_status(listed: ListedPool, text: str) -> PoolStatus:
    """Parse `zpool status -P -p POOL` of a pool that `zpool list` told of."""
    fields = dict(_fields(text))
    return PoolStatus(
        name=listed.name,
        guid=listed.guid,
        state=DeviceState(fields.get("state", listed.health)),
        vdevs=_vdevs(fields.get("config", "")),
        size=listed.size,
        allocated=listed.allocated,
        free=listed.free,
        scan=_flat(fields.get("scan", "")),
        status=_flat(fields.get("status", "")),
        errors=_flat(fields.get("errors", "")),
    )


def importable_pools(text: str) -> tuple[ImportablePool, ...]:
    """Parse what `zpool import` lists."""
    found: list[dict[str, str]] = []
    for name, value in _fields(text):
        if name == "pool":
            found.append({})
        if found:
            found[-1][name] = value
    return tuple(ImportablePool(_flat(pool["pool"]), int(pool["id"]), _flat(pool["state"])) for pool in found)


def _fields(text: str) -> Iterator[tuple[str, str]]:
    """The `name: value` parts of a status; what follows on more lines belongs to the value."""
    name, lines = "", list[str]()
    for line in text.splitlines():
        match = _FIELD.match(line)
        if match is None:
            lines.append(line)
            continue
        if name:
            yield name, "\n".join(lines)
        name, lines = match[1], [match[2]]
    if name:
        yield name, "\n".join(lines)


def _flat(value: str) -> str:
    return " ".join(value.split())


def _bytes(number: str) -> int:
    return 0 if number == "-" else int(number)


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
    top = part[0]
    kind = "disk" if top.leaf else top.name.rpartition("-")[0]
    members = tuple(_member(line) for line in part if line.leaf)
    return Vdev(top.name, kind, DeviceState(top.words[1]), members)


def _member(line: _Line) -> Member:
    """A leaf: path, state, three counters, and for one that is gone `was /dev/…` with its name a number."""
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
    )
