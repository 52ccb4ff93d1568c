"""Changes to a pool in memory that take away or rename, by OpenZFS's rules and words: `zfs rename`, `rollback`, and
`destroy` of snapshots, and what may keep them: `holds` and `release`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tests.fakes.zfs_pool import Pool, Snap, ZfsSays


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
    found, snap = pool.find(dataset), _snap(pool, name)
    if found.snapshots[-1] is not snap:
        later = "".join(f"\n{dataset}@{each.name}" for each in found.snapshots[found.snapshots.index(snap) + 1 :])
        raise ZfsSays(
            f"cannot rollback to '{short}': more recent snapshots or bookmarks exist\n"
            f"use '-r' to force deletion of the following snapshots and bookmarks:{later}"
        )
    found.written = 0
    return ""


def destroy_snapshots(pool: Pool, words: Sequence[str]) -> str:
    """`zfs destroy [-nvp] DATASET@ONE,TWO`: all or none."""
    *flags, spec = words
    assert flags in ([], ["-nvp"]), words
    dataset, _, shorts = spec.partition("@")
    assert shorts, words
    snaps = [_snap(pool, f"{dataset}@{short}") for short in shorts.split(",")]
    if flags:
        lines = [f"destroy\t{dataset}@{snap.name}\n" for snap in snaps]
        return "".join([*lines, f"reclaim\t{sum(snap.size for snap in snaps)}\n"])
    for snap in snaps:
        if pool.find(dataset).holds.get(snap.guid):
            raise ZfsSays(f"cannot destroy snapshot {dataset}@{snap.name}: dataset is busy")
    for snap in snaps:
        pool.destroy_snapshot(f"{dataset}@{snap.name}")
    return ""


def holds(pool: Pool, words: Sequence[str]) -> str:
    """`zfs holds -Hp SNAPSHOT...`."""
    flag, *names = words
    assert flag == "-Hp", words
    held = ((name, pool.find(name.partition("@")[0]).holds.get(_snap(pool, name).guid, {})) for name in names)
    return "".join(f"{name}\t{tag}\t{time}\n" for name, tags in held for tag, time in tags.items())


def local_values(pool: Pool, words: Sequence[str]) -> str:
    """`zfs get -Hp -r -s local … -o name,value PROPERTY DATASET`."""
    *flags, prop, name = words
    assert flags == ["-Hp", "-r", "-s", "local", "-t", "filesystem,volume", "-o", "name,value"], words
    found = {
        each: held.properties.get(prop) for each, held in pool.datasets.items() if f"{each}/".startswith(f"{name}/")
    }
    return "".join(f"{each}\t{value}\n" for each, value in sorted(found.items()) if value is not None)


def inherit(pool: Pool, words: Sequence[str]) -> str:
    """`zfs inherit PROPERTY DATASET`."""
    prop, name = words
    pool.find(name).properties.pop(prop, None)
    return ""


def release(pool: Pool, words: Sequence[str]) -> str:
    """`zfs release TAG SNAPSHOT`."""
    tag, name = words
    held = pool.find(name.partition("@")[0]).holds.get(_snap(pool, name).guid, {})
    if tag not in held:
        raise ZfsSays(f"cannot release hold from snapshot '{name}': no such tag on this dataset")
    del held[tag]
    return ""


def _snap(pool: Pool, name: str) -> Snap:
    dataset, _, short = name.partition("@")
    for snap in pool.find(dataset).snapshots:
        if snap.name == short:
            return snap
    raise ZfsSays(f"could not find any snapshots to destroy; check snapshot names.\n{name}")


CHANGES: Mapping[str, Callable[[Pool, Sequence[str]], str]] = {
    "rename": rename,
    "rollback": rollback,
    "holds": holds,
    "release": release,
    "inherit": inherit,
}
