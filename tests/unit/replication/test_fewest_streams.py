"""The planner's streams against all that could be sent: for small histories every legal sequence is tried."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from tests import sweep
from tests.unit.replication.world import NOW

from ec2zfs.model.policy import Keep
from ec2zfs.model.replication import Replica
from ec2zfs.model.snapshot import Bookmark, Dataset, Snapshot
from ec2zfs.model.snapshot_name import snapshot_name, snapshot_parts
from ec2zfs.plan.replication import plan_dataset
from ec2zfs.plan.selection import Selection

REPLICA = Replica("tank", "cloud/tank")
LONGEST = 6
KINDS = ("daily", "hourly", "mine")
STRANGER = 1 << 40


@dataclass(frozen=True)
class Case:
    """A history: of each moment the kind of its snapshot and where it is left, the copy's snapshots that are nobody's,
    and how many of each kind the copy keeps (of a kind that is missing none comes)."""

    moments: tuple[tuple[str, frozenset[str]], ...]
    strangers: int
    keeps: dict[str, Keep]

    def taken(self, dataset: str, where: str) -> tuple[Snapshot, ...]:
        """The snapshots that are left there: their GUIDs and transaction groups are their moments."""
        named = ((at, kind) for at, (kind, left) in enumerate(self.moments, 1) if where in left)
        return tuple(Snapshot(dataset, _name(at, kind), at, at) for at, kind in named)

    @property
    def source(self) -> Dataset:
        marks = tuple(Bookmark("tank", f"mark{each.guid}", each.guid, each.guid) for each in self.taken("tank", "mark"))
        return Dataset("tank", 1, encrypted=False, snapshots=self.taken("tank", "source"), bookmarks=marks)

    @property
    def known(self) -> set[int]:
        """What the source can send an increment from."""
        source = self.source
        return {snapshot.guid for snapshot in source.snapshots} | {mark.guid for mark in source.bookmarks}

    @property
    def target(self) -> Dataset | None:
        there = self.taken("cloud/tank", "target")
        more = (Snapshot("cloud/tank", f"theirs{n}", STRANGER + n, STRANGER + n) for n in range(self.strangers))
        return Dataset("cloud/tank", 2, encrypted=False, snapshots=(*there, *more)) if there else None


def _name(at: int, kind: str) -> str:
    return f"mine{at}" if kind == "mine" else snapshot_name(NOW - timedelta(hours=LONGEST - at), kind)


places = st.frozensets(st.sampled_from(["source", "mark", "target"]))
cases = st.builds(
    Case,
    st.lists(st.tuples(st.sampled_from(KINDS), places), max_size=LONGEST).map(tuple),
    st.sampled_from([0, 0, 0, 1]),
    st.dictionaries(st.sampled_from(KINDS[:2]), st.integers(0, 3).map(Keep)),
)


def wanted(case: Case) -> frozenset[int]:
    """What the copy is to get, counted anew: of the snapshots after the newest common one those that its rules keep."""
    target = case.target.snapshots if case.target else ()
    base = max((each.guid for each in target if each.guid in case.known), default=0)
    pending = [each for each in case.source.snapshots if each.guid > base]
    found = {each.guid for each in pending if snapshot_parts(each.name) is None}
    ours = [(parts[1], each.guid) for each in (*target, *pending) if (parts := snapshot_parts(each.name))]
    for period, keep in case.keeps.items():
        newest = [guid for each, guid in ours if each == period][-keep.count :] if keep.count else []
        found |= {*newest} & {each.guid for each in pending}
    return frozenset(found)


Stream = tuple[int, int]
"""The GUIDs of a base (0: a full stream) and of the snapshot that is sent."""


def legal(case: Case, there: tuple[int, ...]) -> list[Stream]:
    """Every single stream that ZFS takes in when the copy has these snapshots."""
    sent = [each.guid for each in case.source.snapshots]
    if not there:
        return [(0, guid) for guid in sent]
    bases = case.known & {there[-1]}
    return [(base, guid) for base in bases for guid in sent if guid > base]


def fewest(case: Case) -> list[tuple[Stream, ...]]:
    """All of the shortest sequences after which the copy has what it is to get."""
    start = tuple(each.guid for each in case.target.snapshots) if case.target else ()
    goal, found = wanted(case), list[tuple[Stream, ...]]()
    waiting = deque[tuple[tuple[int, ...], tuple[Stream, ...]]]([(start, ())])
    while waiting:
        there, way = waiting.popleft()
        if found and len(way) > len(found[0]):
            break
        if goal <= {*there}:
            found.append(way)
            continue
        waiting.extend(((*there, stream[1]), (*way, stream)) for stream in legal(case, there))
    return found


@settings(max_examples=sweep.examples(400), deadline=None)
@given(cases)
def test_the_planned_streams_are_the_fewest_that_reach_what_the_copy_is_to_get(case: Case) -> None:
    """What is the fewest? One `zfs send -i` makes one snapshot, whatever lies between it and its base. `-I` and `-R`
    are a stream for each snapshot too, in one package; a bookmark cannot be their base (fact 37), and a token resumes
    one stream and no package (fact 36). So a stream is counted for each snapshot that comes, and a sequence is legal
    when each increment goes on from the copy's newest snapshot, of which the source has at least a bookmark. Fewest are
    the sequences that bring all that the copy is to keep: none has room for a snapshot besides, whose changes come in
    the increment that spans it. Where both sides have snapshots and nothing can be sent any more, it is a conflict.
    """
    selection = Selection(lambda _name: case.keeps, lambda: NOW)
    plan = plan_dataset(REPLICA, selection.of(case.source, case.target), case.target)
    planned = tuple((step.base.guid if step.base else 0, step.to.guid) for step in plan.transfers)
    ways = fewest(case)
    if plan.conflict:
        assert case.target
        assert not legal(case, tuple(each.guid for each in case.target.snapshots))
        assert planned == ()
    else:
        assert planned in ways
        assert {guid for _, guid in planned} == wanted(case)


def test_a_bookmark_alone_saves_a_full_stream() -> None:
    moments = (("mine", frozenset({"mark", "target"})), ("mine", frozenset[str]()), ("mine", frozenset({"source"})))
    case = Case(moments, 0, {})
    assert fewest(case) == [((1, 3),)]
    assert fewest(replace(case, moments=(("mine", frozenset({"target"})), *moments[1:]))) == []
