"""Which copy is whose: a copy carries the GUID of its source, which a rename does not change.

Pure. A copy that another source goes on with is never taken away from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from ec2zfs.model.replication import ReplicationState, target_name
from ec2zfs.model.snapshot import Dataset
from ec2zfs.plan.conflicts import LONGEST_NAME
from ec2zfs.plan.replication_steps import Identify


@dataclass(frozen=True)
class Copies:
    """All datasets of the pool by name, the GUIDs of sources that some bear by their names, and the sources by the
    places where their copies belong."""

    standing: Mapping[str, Dataset]
    marks: Mapping[str, int]
    homes: Mapping[str, Dataset]

    @staticmethod
    def of(state: ReplicationState) -> Copies:
        """The copies as they stand."""
        return Copies(
            {copy.name: copy for copy in state.targets},
            state.identities,
            {target_name(state.pool, source.name): source for source in state.sources},
        )

    @cached_property
    def bearers(self) -> Mapping[int, tuple[str, ...]]:
        """The names of the copies that bear each GUID."""
        found: dict[int, tuple[str, ...]] = {}
        for name, guid in self.marks.items():
            if name in self.standing:
                found[guid] = (*found.get(guid, ()), name)
        return found

    def strayed(self, source: Dataset, place: str) -> str:
        """The name of the source's one copy when that is not its `place`, and no other goes on with it; else ""."""
        found = self.bearers.get(source.guid, ())
        return found[0] if len(found) == 1 and found[0] != place and not self._in_use(found[0]) else ""

    def fetched(self, source: Dataset, place: str) -> str:
        """The name from which the source's copy can be brought to its `place`, where nothing stands; else ""."""
        name = self.strayed(source, place)
        return "" if place in self.standing or place.startswith(f"{name}/") else name

    def continues(self, source: Dataset, name: str) -> bool:
        """Whether the source and this copy have a snapshot in common (of the source a bookmark at least)."""
        ours = {snapshot.guid for snapshot in source.snapshots} | {bookmark.guid for bookmark in source.bookmarks}
        return any(snapshot.guid in ours for snapshot in self.standing[name].snapshots)

    def after(self, old: str, new: str) -> Copies:
        """The same after a copy was renamed, with all below it."""
        moved = {name: name_after(name, old, new) for name in self.standing}
        standing = {moved[name]: replace(copy, name=moved[name]) for name, copy in self.standing.items()}
        return replace(
            self, standing=standing, marks={name_after(name, old, new): guid for name, guid in self.marks.items()}
        )

    def fits(self, old: str, new: str) -> bool:
        """Whether ZFS allows the names that a copy, all below it and their snapshots would have as `new`."""
        tails = (
            len(f"{name}{tail}".encode()) - len(old.encode())
            for name, copy in self.standing.items()
            if name == old or name.startswith(f"{old}/")
            for tail in ("", *(f"@{snapshot.name}" for snapshot in copy.snapshots))
        )
        return len(new.encode()) + max(tails, default=0) <= LONGEST_NAME

    def _in_use(self, name: str) -> bool:
        """Whether the copy has no snapshot to go on from, or goes on as that of the source whose place it is at."""
        home = self.homes.get(name)
        return not self.standing[name].snapshots or (home is not None and self.continues(home, name))


def unmarked(state: ReplicationState) -> tuple[Identify, ...]:
    """The copies at their places that bear no GUID of a source of now, and what they are to bear.

    They were made before copies were marked, or their source was made anew with its snapshots. A source of which
    another copy bears the GUID already is left alone: two with one mark would follow nobody.
    """
    copies = Copies.of(state)
    known = {source.guid for source in (*state.sources, *state.excluded)}
    return tuple(
        Identify(place, source.guid)
        for place, source in copies.homes.items()
        if place in copies.standing
        and copies.marks.get(place) not in known
        and source.guid not in copies.bearers
        and copies.continues(source, place)
    )


def name_after(name: str, old: str, new: str) -> str:
    """The name of a dataset after one was renamed, which may be itself or above it."""
    return new + name.removeprefix(old) if name == old or name.startswith(f"{old}/") else name
