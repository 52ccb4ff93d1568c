"""Decides which pairs of a dataset and its copy need no listing of snapshots: nothing has changed on either side since
a run that found them equal and wrote that down on the copy.

Pure. A note is bound to both GUIDs, and to what ZFS says of both sides now; a wrong, old or missing one costs a listing
and nothing else. What a note stands for is only the newest common snapshot, with its bookmark; no step follows from it.
The pool's own note says that nothing but the copies was in it; it is withdrawn before anything else is put there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ec2zfs.model.policy import Keeps
from ec2zfs.model.replication import ReplicationState, target_name
from ec2zfs.model.sighting import Look, Sighting
from ec2zfs.model.snapshot import Bookmark, Dataset, Snapshot
from ec2zfs.plan.cursors import cursor_name
from ec2zfs.plan.replication import IDLE, DatasetPlan, ReplicationPlan, ancestors
from ec2zfs.plan.replication_steps import KeepProperties

SETTLED = "ec2zfs:settled"
TRUSTED_FOR = timedelta(days=7)
"""After so long both sides are listed again: what no note can tell of (a bookmark that went, the user properties of
others) comes right then at the latest."""


@dataclass(frozen=True)
class Note:
    """That source and copy were equal at a time, in seconds since 1970: their GUIDs, when their lists of snapshots had
    changed last, a digest of all else that decides, and the snapshot that both have."""

    at: int
    guids: tuple[int, int]
    changed: tuple[int, int]
    digest: str
    snapshot: int
    createtxg: tuple[int, int]
    name: str

    def __str__(self) -> str:
        numbers = (self.at, *self.guids, *self.changed, self.snapshot, *self.createtxg)
        return f"1 {self.digest} {' '.join(map(str, numbers))} {self.name}"

    @staticmethod
    def parse(text: str) -> Note | None:
        """The note, or None for anything else."""
        version, _, rest = text.partition(" ")
        digest, *words = rest.split(" ", 9)
        if version != "1" or len(words) != 9 or not all(map(_is_number, words[:8])):
            return None
        at, ours, theirs, our_change, their_change, guid, our_txg, their_txg = map(int, words[:8])
        return Note(at, (ours, theirs), (our_change, their_change), digest, guid, (our_txg, their_txg), words[8])


@dataclass(frozen=True)
class PoolNote:
    """That the pool held certain datasets and no others at a time, in seconds since 1970: a digest of their names."""

    at: int
    digest: str

    def __str__(self) -> str:
        return f"1 {self.digest} {self.at}"

    @staticmethod
    def parse(text: str) -> PoolNote | None:
        """The note, or None for anything else."""
        version, _, rest = text.partition(" ")
        digest, _, at = rest.partition(" ")
        return PoolNote(int(at), digest) if version == "1" and _is_number(at) else None


def known_to_be_alone(pool: str, sources: Iterable[str], note: str, now: datetime) -> frozenset[str]:
    """The pool, the copies and what is above these, if the pool's note says that nothing else was there; else none."""
    names, found = _with_copies(pool, sources), PoolNote.parse(note)
    return names if found and found.digest == _of_names(names) and _trusted(found.at, now) else frozenset()


def settled(
    pool: str, ours: Look, theirs: Look, keeps: Mapping[str, Keeps], now: datetime
) -> dict[str, tuple[Dataset, Dataset]]:
    """The pairs that are equal still, by the source's name, with the one snapshot that is known of them.

    None where a copy is to follow its renamed source, since all below it goes along. `keeps` is what the copies of each
    source keep; what is not in it is not replicated.
    """
    places = {source.dataset.guid: target_name(pool, name) for name, source in ours.sightings.items()}
    marked = ((name, copy.identity) for name, copy in theirs.sightings.items() if copy.identity in places)
    if any(name != places[identity] for name, identity in marked):
        return {}
    found = {name: (ours.sightings[name], theirs.sightings.get(target_name(pool, name))) for name in keeps}
    return {
        name: _known(pool, source, copy, note)
        for name, (source, copy) in found.items()
        if copy and (note := _standing(source, copy, keeps[name], now))
    }


def outdated(state: ReplicationState, keeps: Mapping[str, Keeps]) -> tuple[KeepProperties, ...]:
    """The withdrawal of a pool's note that holds no more. It has to come before the first copy that is made or renamed:
    else the note would be right again when the sources have their former names, and hide what was made meanwhile.
    """
    theirs = state.looks[1] if state.looks else None
    if theirs is None or not theirs.whole or theirs.sightings.keys() == _with_copies(state.pool, keeps):
        return ()
    return withdrawn(state.pool) if theirs.sightings[state.pool].note else ()


def withdrawn(pool: str) -> tuple[KeepProperties, ...]:
    """The withdrawal of a pool's note."""
    return (KeepProperties(pool, taken=(SETTLED,)),)


def notes(
    state: ReplicationState, plan: ReplicationPlan, keeps: Mapping[str, Keeps], now: datetime
) -> tuple[KeepProperties, ...]:
    """What is to be written down on the copies for which this plan has nothing to do, where that is not there yet, and
    on the pool if it holds nothing but the copies."""
    changing = {change.target for change in plan.properties}
    if state.looks is None or plan.partings or plan.passed_over:
        return ()
    ours, theirs = (look.sightings for look in state.looks)
    found = list[KeepProperties]()
    if state.looks[1].whole and theirs.keys() == (names := _with_copies(state.pool, keeps)):
        alone = PoolNote(int(now.timestamp()), _of_names(names))
        found.append(KeepProperties(state.pool, ((SETTLED, str(alone)),)))
    for each in plan.datasets:
        source, copy = ours.get(each.replica.source), theirs.get(each.replica.target)
        fresh = each.replica.source not in state.settled and each.replica.target not in changing
        if fresh and source and copy and (note := _note(each, source, copy, keeps[each.replica.source], now)):
            found.append(KeepProperties(each.replica.target, ((SETTLED, str(note)),)))
    return tuple(found)


def _note(plan: DatasetPlan, source: Sighting, copy: Sighting, keeps: Keeps, now: datetime) -> Note | None:
    common = plan.common
    if plan.note != IDLE or common is None or not common.bookmarked or isinstance(common.ours, Bookmark):
        return None
    if not (source.changed and copy.changed and copy.identity == source.dataset.guid):
        return None
    if common.ours.name != common.copy.name:
        return None
    return Note(
        int(now.timestamp()),
        (source.dataset.guid, copy.dataset.guid),
        (source.changed, copy.changed),
        _digest(source, copy, keeps),
        common.ours.guid,
        (common.ours.createtxg, common.copy.createtxg),
        common.ours.name,
    )


def _standing(source: Sighting, copy: Sighting, keeps: Keeps, now: datetime) -> Note | None:
    """The note of a copy if it tells of both as they are now."""
    note = Note.parse(copy.note) if source.changed and copy.changed else None
    if note is None or not _trusted(note.at, now):
        return None
    if copy.dataset.written or copy.dataset.partial or copy.identity != source.dataset.guid:
        return None
    seen = (source.dataset.guid, copy.dataset.guid), (source.changed, copy.changed), _digest(source, copy, keeps)
    return note if (note.guids, note.changed, note.digest) == seen else None


def _is_number(word: str) -> bool:
    """Whether it can be one of 64 bits; `int` refuses words of some thousand digits."""
    return word.isdecimal() and len(word) <= len(str(1 << 64))


def _trusted(at: int, now: datetime) -> bool:
    return 0 <= int(now.timestamp()) - at <= TRUSTED_FOR.total_seconds()


def _with_copies(pool: str, sources: Iterable[str]) -> frozenset[str]:
    """The pool, the copies of the sources, and what is above these."""
    copies = (target_name(pool, source) for source in sources)
    return frozenset({pool, *(place for copy in copies for place in (copy, *ancestors(copy)))})


def _of_names(names: Collection[str]) -> str:
    return _hashed("\n".join(sorted(names)))


def _hashed(facts: str) -> str:
    return hashlib.sha256(facts.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _digest(source: Sighting, copy: Sighting, keeps: Keeps) -> str:
    """Of the policy, of what is set on both and of how the copy is sent to."""
    rules = sorted((period, keep.count, str(keep.age)) for period, keep in keeps.items())
    kinds = [(each.dataset.kind.value, each.dataset.encrypted) for each in (source, copy)]
    return _hashed(repr((rules, source.settings, copy.settings, kinds, copy.dataset.send)))


def _known(pool: str, source: Sighting, copy: Sighting, note: Note) -> tuple[Dataset, Dataset]:
    ours, theirs = source.dataset.name, copy.dataset.name
    here = Snapshot(ours, note.name, note.snapshot, note.createtxg[0])
    there = Snapshot(theirs, note.name, note.snapshot, note.createtxg[1])
    cursor = Bookmark(ours, cursor_name(pool, note.snapshot), note.snapshot, note.createtxg[0])
    return (
        replace(source.dataset, snapshots=(here,), bookmarks=(cursor,)),
        replace(copy.dataset, snapshots=(there,)),
    )
