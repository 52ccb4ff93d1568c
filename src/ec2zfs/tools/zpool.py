"""zpool(8): the arguments that create a pool, and what `list` and `import` print; `status` is zpool_status.py's.

Runs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ec2zfs.model.contents import ImportablePool
from ec2zfs.model.layout import Redundancy

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


def importable_pools(text: str) -> tuple[ImportablePool, ...]:
    """Parse what `zpool import` lists."""
    found: list[dict[str, str]] = []
    for name, value in fields_of(text):
        if name == "pool":
            found.append({})
        if found:
            found[-1][name] = value
    return tuple(ImportablePool(flat(pool["pool"]), int(pool["id"]), flat(pool["state"])) for pool in found)


def fields_of(text: str) -> Iterator[tuple[str, str]]:
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


def flat(value: str) -> str:
    """The words in one line."""
    return " ".join(value.split())


def _bytes(number: str) -> int:
    return 0 if number == "-" else int(number)
