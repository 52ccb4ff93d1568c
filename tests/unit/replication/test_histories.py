"""Whatever happens to trees and in runs, the next whole run ends with equal copies or named conflicts, and no run
destroys what is not ours.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import get_args

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests import sweep
from tests.fakes.zfs_pool import FakeDataset, Snap
from tests.unit.replication.histories import DAILIES, EVENTS, FAULTS, NAMES, Event, Watched

from ec2zfs.execute.replication_report import DatasetReport
from ec2zfs.model.snapshot_name import snapshot_parts
from ec2zfs.plan.conflicts import Conflict, PlaceTaken, conflict_error

names = st.sampled_from(("tank", *NAMES))
inner = st.sampled_from(NAMES)
numbers = st.integers(0, 30)
locally = sorted(EVENTS.keys() - {"run", "daily run", "fail", "fill", "rename", "exchange", "take", "create"})
events = st.one_of(
    st.builds(Event, st.sampled_from(["take", "create"]), names, number=numbers),
    st.builds(Event, st.sampled_from(["rename", "exchange"]), inner, inner),
    st.builds(Event, st.sampled_from(locally), names, number=numbers),
    st.builds(Event, st.just("run"), number=st.integers(0, 150)),
    st.builds(Event, st.just("fail"), other=st.sampled_from(sorted(FAULTS)), number=numbers),
    st.builds(Event, st.sampled_from(["daily run", "fill"]), number=numbers),
)
trees = st.sets(inner, min_size=2).map(
    lambda chosen: [
        *(Event("create", name) for name in sorted(chosen)),
        Event("take", number=6),
        Event("run"),
    ]
)
last_minute = st.lists(st.builds(Event, st.sampled_from(["exchange", "rename", "stranger"]), inner, inner), max_size=3)
histories = st.tuples(trees, st.lists(events, min_size=2, max_size=12), last_minute).map(lambda parts: [*chain(*parts)])
TREE = [*(Event("create", name) for name in NAMES), Event("take", number=6), Event("run")]


@settings(max_examples=sweep.examples(100), deadline=None)
@example([*TREE, Event("exchange", "tank/a", "tank/b")])
@example([*TREE, Event("stranger", "tank/z"), Event("rename", "tank/a", "tank/z")])
@example([*TREE, Event("run", number=9), Event("rename", "tank/a", "tank/c/excluded"), Event("destroy", "tank/b")])
@example(
    [
        *TREE,
        Event("run"),
        Event("exchange", "tank/b/deep", "tank/volume"),
        Event("exchange", "tank/volume", "tank/excluded"),
        Event("run"),
        Event("exchange", "tank/a/deep", "tank/b/deep"),
        Event("exchange", "tank/c", "tank/a"),
        Event("rename", "tank/a/deep", "tank/a"),
    ]
)
@given(histories)
def test_any_history_ends_with_what_the_copies_are_to_have_or_a_named_conflict(history: list[Event]) -> None:
    watched = Watched()
    for event in history:
        watched.happen(event)
    before = {held.guid: list(held.snapshots) for held in watched.world.receiver.zfs.datasets.values()}
    report = watched.run()
    assert report
    plan = watched.plan()
    assert (plan.transfers, plan.partings, plan.marks) == ((), (), ())
    for dataset, left in zip(report.datasets, plan.datasets, strict=True):
        if left.conflict:
            assert isinstance(left.conflict, get_args(Conflict))
            assert dataset.error
            assert wherever_it_stood(dataset.error.message) == wherever_it_stood(conflict_error(left.conflict).message)
        else:
            assert dataset.error is None
            ends_right(watched, dataset, before)
    nothing_is_left_to_do(watched)


def wherever_it_stood(message: str) -> str:
    """The message without the place of a copy that cannot follow: it may have moved on with the one above it since."""
    return re.sub(r"copy \S+ cannot follow", "copy cannot follow", message)


def nothing_is_left_to_do(watched: Watched) -> None:
    """A second run sends nothing, and held is only what is in conflict."""
    again = watched.run()
    assert again
    assert again.steps == 0
    stuck = [each.conflict for each in watched.plan().datasets if each.conflict]
    names = {name for each in stuck for name in (each.replica.source, each.replica.target)}
    names |= {each.strayed for each in stuck if isinstance(each, PlaceTaken)}
    assert {name.partition("@")[0] for name in watched.world.held()} <= names
    assert bool(watched.world.noted()) == bool(watched.world.held())


def ends_right(watched: Watched, dataset: DatasetReport, before: dict[int, list[Snap]]) -> None:
    """The copy has what it had, and what it was to get besides."""
    source = watched.world.site.zfs.find(dataset.replica.source)
    copy = watched.world.receiver.zfs.datasets.get(dataset.replica.target)
    if not source.snapshots or copy is None:
        assert copy or "no snapshot yet" in dataset.note or "waits for the first copy" in dataset.note
        return
    had = before.get(copy.guid, [])
    assert [snap.guid for snap in copy.snapshots] == [*(snap.guid for snap in had), *wanted(source, had)]
    assert copy.kind == source.kind
    assert copy.encrypted == source.encrypted


def wanted(source: FakeDataset, had: list[Snap]) -> list[int]:
    """The GUIDs of the snapshots since the last common one that are nobody's, or of the newest dailies."""
    known = {entry.guid: entry.txg for entry in (*source.snapshots, *source.bookmarks)}
    base = max((known[snap.guid] for snap in had if snap.guid in known), default=-1)
    pending = [snap for snap in source.snapshots if snap.txg > base]
    dailies = [snap.guid for snap in (*had, *pending) if snapshot_parts(snap.name)][-DAILIES:]
    return [snap.guid for snap in pending if snapshot_parts(snap.name) is None or snap.guid in dailies]
