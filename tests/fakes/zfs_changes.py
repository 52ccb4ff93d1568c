"""Changes to a pool in memory that only `repair` and a renamed source bring about, by OpenZFS's rules and words: `zfs
rename` and `rollback`; and the listing of a property of a dataset's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tests.fakes.zfs_pool import Pool, ZfsSays


def rename(pool: Pool, words: Sequence[str]) -> str:
    """`zfs rename OLD NEW`: all below goes along."""
    old, new = words
    pool.find(old)
    if new in pool.datasets:
        raise ZfsSays(f"cannot rename '{old}': dataset already exists")
    if new.startswith(f"{old}/"):
        raise ZfsSays(f"cannot rename '{old}': New dataset name cannot be a descendant of current dataset name")
    if new.rpartition("/")[0] not in pool.datasets:
        raise ZfsSays(f"cannot rename '{old}': parent does not exist")
    moved = {name: name.replace(old, new, 1) for name in pool.datasets if name == old or name.startswith(f"{old}/")}
    for name, other in moved.items():
        if any(len(f"{other}@{snap.name}") > 255 for snap in pool.find(name).snapshots):
            raise ZfsSays(f"cannot rename '{old}': New dataset name too long")
    for name, other in moved.items():
        pool.datasets[other] = pool.datasets.pop(name)
    return ""


def rollback(pool: Pool, words: Sequence[str]) -> str:
    """`zfs rollback SNAPSHOT`: to the newest one only."""
    (name,) = words
    dataset, _, short = name.partition("@")
    found = pool.find(dataset)
    names = [each.name for each in found.snapshots]
    if names[-1] != short:
        later = "".join(f"\n{dataset}@{each}" for each in names[names.index(short) + 1 :])
        raise ZfsSays(
            f"cannot rollback to '{short}': more recent snapshots or bookmarks exist\n"
            f"use '-r' to force deletion of the following snapshots and bookmarks:{later}"
        )
    found.written = 0
    return ""


def local_values(pool: Pool, words: Sequence[str]) -> str:
    """`zfs get -Hp -r -s local … -o name,value PROPERTY DATASET`."""
    *flags, prop, name = words
    assert flags == ["-Hp", "-r", "-s", "local", "-t", "filesystem,volume", "-o", "name,value"], words
    found = {
        each: held.properties.get(prop) for each, held in pool.datasets.items() if f"{each}/".startswith(f"{name}/")
    }
    return "".join(f"{each}\t{value}\n" for each, value in sorted(found.items()) if value is not None)


CHANGES: Mapping[str, Callable[[Pool, Sequence[str]], str]] = {
    "rename": rename,
    "rollback": rollback,
}
