"""Makes room for copies whose sources were renamed to each other's names: a copy that stands at another's place steps
aside under a name of its own, from which its source fetches it. Where that cannot be, it is a conflict.

Pure. Killed between the two renames nothing is lost: the copy bears its source's GUID, and the next plan finds it.
"""

from __future__ import annotations

from collections.abc import Collection

from ec2zfs.model.replication import Replica, ReplicationState, target_name
from ec2zfs.model.snapshot import Dataset
from ec2zfs.plan.conflicts import PlaceTaken
from ec2zfs.plan.copies import Copies
from ec2zfs.plan.replication_steps import RenameCopy

ASIDE = "ec2zfs-moving-"
MAKING_ROOM = "to make room for the copy that belongs there"


def parted(copies: Copies, pool: str) -> tuple[Copies, tuple[RenameCopy, ...]]:
    """The copies once those have stepped aside that stand at another's place, and the renames for it, in their order.

    A copy goes with what is above it, and steps aside only where its own place is free, or becomes so.
    """
    moves = list[RenameCopy]()
    movable = _movable(copies, pool)
    for place in sorted(movable):
        if copies.marks.get(place) != movable[place].guid:
            continue  # it went along with the one above
        moves.append(RenameCopy(place, name_aside(pool, movable[place]), MAKING_ROOM))
        copies = copies.after(place, moves[-1].new)
    return copies, tuple(moves)


def standing_copies(state: ReplicationState) -> dict[str, Dataset]:
    """The copy of each source that has one, by the source's name: at its place, or where it is to be fetched from."""
    copies, _ = parted(Copies.of(state), state.pool)
    found = {
        source.name: copies.standing.get(copies.fetched(source, place) or place)
        for place, source in copies.homes.items()
    }
    return {name: copy for name, copy in found.items() if copy}


def place_taken(copies: Copies, replica: Replica, source: Dataset, state: ReplicationState) -> PlaceTaken | None:
    """The conflict of a source whose copy cannot follow it, because another dataset stands at its new place."""
    strayed, place = copies.strayed(source, replica.target), replica.target
    if not strayed or place not in copies.standing or copies.continues(source, place):
        return None
    mark, snapshots = copies.marks.get(place), copies.standing[place].snapshots
    owner = next((each.name for each in (*state.sources, *state.excluded) if each.guid == mark), "")
    return PlaceTaken(replica, strayed, snapshots, owner, any(each.guid == mark for each in state.sources))


def name_aside(pool: str, source: Dataset) -> str:
    """Under which name the copy of a source waits until its place is free."""
    return f"{pool}/{ASIDE}{source.guid:016x}"


def is_aside(pool: str, name: str) -> bool:
    """Whether a dataset of the pool waits under such a name, or stands below one that does."""
    return name.startswith(f"{pool}/{ASIDE}")


def _movable(copies: Copies, pool: str) -> dict[str, Dataset]:
    """The sources of the copies that may step aside, by the places where these stand now."""
    found = {
        stands: source
        for place, source in copies.homes.items()
        if (stands := copies.strayed(source, place)) in copies.homes and _can_wait(copies, pool, stands, source)
    }
    while blocked := [stands for stands, source in found.items() if _is_blocked(copies, pool, source, found)]:
        for stands in blocked:
            del found[stands]
    return found


def _can_wait(copies: Copies, pool: str, stands: str, source: Dataset) -> bool:
    aside = name_aside(pool, source)
    return aside not in copies.standing and copies.fits(stands, aside)


def _is_blocked(copies: Copies, pool: str, source: Dataset, leaving: Collection[str]) -> bool:
    """Whether something stands at the source's place that does not leave it, by itself or with one above it."""
    place = target_name(pool, source.name)
    return place in copies.standing and not any(f"{place}/".startswith(f"{stands}/") for stands in leaving)
