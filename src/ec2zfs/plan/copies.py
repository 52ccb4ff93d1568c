"""Finds the copy of a source that was renamed: a copy carries the GUID of its source, which a rename does not change.

Pure. A copy that another source goes on with is never taken away from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ec2zfs.model.replication import ReplicationState, target_name
from ec2zfs.model.snapshot import Dataset


def standing_copies(state: ReplicationState) -> dict[str, Dataset]:
    """The copy of each source that has one, by the source's name: at its place, or where it is to be fetched from."""
    copies = {copy.name: copy for copy in state.targets}
    homes = {target_name(state.pool, source.name): source for source in state.sources}
    found = {
        source.name: copies.get(moved_copy(source, place, copies, state.identities, homes) or place)
        for place, source in homes.items()
    }
    return {name: copy for name, copy in found.items() if copy}


def moved_copy(
    source: Dataset,
    place: str,
    copies: Mapping[str, Dataset],
    identities: Mapping[str, int],
    homes: Mapping[str, Dataset],
) -> str:
    """The name under which the one copy of the source stands, when nothing stands at its `place`; else "".

    `identities` are the GUIDs of sources by the names of their copies, `homes` the sources by their places.
    """
    if place in copies:
        return ""
    found = [name for name, guid in identities.items() if guid == source.guid and name in copies]
    free = [name for name in found if not _in_use(name, copies, homes) and not place.startswith(f"{name}/")]
    return free[0] if len(found) == 1 and free else ""


def renamed(copies: Mapping[str, Dataset], old: str, new: str) -> dict[str, Dataset]:
    """The copies after one was renamed, with all below it."""
    moved = {name: name_after(name, old, new) for name in copies}
    return {moved[name]: replace(copy, name=moved[name]) for name, copy in copies.items()}


def renamed_identities(identities: Mapping[str, int], old: str, new: str) -> dict[str, int]:
    """The identities after a copy was renamed."""
    return {name_after(name, old, new): guid for name, guid in identities.items()}


def name_after(name: str, old: str, new: str) -> str:
    """The name of a dataset after one was renamed, which may be itself or above it."""
    return new + name.removeprefix(old) if name == old or name.startswith(f"{old}/") else name


def _in_use(name: str, copies: Mapping[str, Dataset], homes: Mapping[str, Dataset]) -> bool:
    """Whether the copy has no snapshot to go on from, or goes on as that of the source whose place it is at."""
    home = homes.get(name)
    theirs = {snapshot.guid for snapshot in copies[name].snapshots}
    known = {snapshot.guid for snapshot in home.snapshots} | {mark.guid for mark in home.bookmarks} if home else set()
    return not theirs or bool(theirs & known)
