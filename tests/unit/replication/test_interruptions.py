"""The controller dies at any moment; whoever comes next looks again, plans again, and ends where nobody had died.

First every moment of one rich day, one by one; then random histories with deaths, losses and meddling in between.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.fuse import Fuse, Killed
from tests.fakes.zfs_pool import ZfsSays
from tests.unit.replication.world import World

from ec2zfs.errors import HostError, NoSpace, ReplicationConflict
from ec2zfs.execute.replication_report import ReplicationReport
from ec2zfs.model.snapshot import Snapshot
from ec2zfs.model.source import Source

NAMES = ("tank", "tank/a", "tank/a/deep", "tank/b", "tank/b/open")


def rich_day() -> World:
    """Copies of different ages: new datasets, one that is behind, a partial stream, a stale token and stale cursors."""
    world = World()
    for name in NAMES[1:]:
        world.site.zfs.create(name, encrypted=name == "tank/b")
    for name in NAMES[:2]:
        for snapshot, size in (("one", 1000), ("two", 60)):
            world.site.zfs.snapshot(name, snapshot, size)
    world.replicate()
    world.site.zfs.snapshot("tank", "three", 500)
    world.site.zfs.snapshot("tank/a", "three", 800)
    world.transport.break_at[5] = Killed("gone")
    with pytest.raises(Killed):
        world.replicate()
    world.site.zfs.snapshot("tank", "four", 20)
    world.site.zfs.snapshot("tank/a/deep", "one", 90)
    world.site.zfs.snapshot("tank/b", "one", 90)
    world.site.zfs.snapshot("tank/b/open", "one", 90)
    return world


def settled(world: World) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """What must be the same however the way there was: the copies, and at which snapshots the cursors stand."""
    cursors = {
        name: [snap.name for mark in held.bookmarks for snap in held.snapshots if snap.guid == mark.guid]
        for name, held in world.site.zfs.datasets.items()
    }
    return world.copies(), cursors


def test_dying_at_any_moment_changes_nothing_in_the_end() -> None:
    straight = rich_day()
    counting = Fuse()
    straight.listen(counting.step)
    straight.replicate().raise_for_errors()
    moments = len(counting.calls)
    assert moments > 60
    for moment in range(1, moments + 1):
        world = rich_day()
        world.listen(Fuse(moment).step)
        with pytest.raises(Killed):
            world.replicate()
        before = world.copies()
        world.listen()
        world.replicate().raise_for_errors()
        assert settled(world) == settled(straight), counting.calls[moment - 1]
        assert (world.held(), world.noted()) == ({}, {}), counting.calls[moment - 1]
        assert all(kept(before.get(name, []), copy) for name, copy in world.copies().items())
        assert world.replicate().steps == 0


def test_what_is_being_sent_can_be_destroyed_at_no_moment() -> None:
    world = rich_day()
    replicator = world.replicator()
    plan = replicator.plan(replicator.observe([Source("tank")]))
    tried = list[str]()

    def meanwhile(event: str) -> None:
        if not event.startswith("stream:"):
            return
        done = world.copies()
        for step in plan.transfers:
            ends = [step.to] if step.base is None else [step.base, step.to]
            for snapshot in ends:
                if step.to.name in done.get(step.to.dataset, ()) or not isinstance(snapshot, Snapshot):
                    continue
                tried.append(str(snapshot))
                with pytest.raises(ZfsSays, match="it's being held"):
                    world.site.zfs.destroy_snapshot(str(snapshot))
                if step is plan.datasets[0].transfers[0] and step.base is not None:
                    with pytest.raises(ZfsSays, match="it's being held"):
                        world.receiver.zfs.destroy_snapshot(f"cloud/{step.base}")

    world.listen(meanwhile)
    replicator.run(plan).raise_for_errors()
    assert {"tank@two", "tank@three", "tank@four", "tank/a@three", "tank/b@one"} <= {*tried}
    assert (world.held(), world.noted()) == ({}, {})


def kept(before: list[str], after: list[str]) -> bool:
    """Nothing that was complete went away: the copy only grew at its end."""
    return after[: len(before)] == before


@dataclass(frozen=True)
class Event:
    """Something that happens to a dataset between two runs, or a run that dies at a moment (0: that does not die)."""

    what: str
    dataset: str = "tank"
    number: int = 0


datasets = st.sampled_from(NAMES)
events = st.lists(
    st.one_of(
        st.builds(Event, st.just("snapshot"), datasets, st.integers(1, 900)),
        st.builds(Event, st.just("destroy"), datasets, st.integers(0, 5)),
        st.builds(Event, st.just("forget"), datasets),
        st.builds(Event, st.just("let go"), datasets),
        st.builds(Event, st.just("meddle"), datasets, st.integers(0, 3)),
        st.builds(Event, st.just("run"), number=st.integers(0, 70)),
        st.builds(Event, st.just("lose line"), number=st.integers(1, 4)),
    ),
    min_size=4,
    max_size=30,
)


def happen(world: World, event: Event, names: count[int]) -> None:
    held = world.site.zfs.datasets.get(event.dataset)
    copy = world.receiver.zfs.datasets.get(f"cloud/{event.dataset}")
    if event.what == "snapshot":
        parent = event.dataset.rpartition("/")[0]
        if held is None and parent and parent not in world.site.zfs.datasets:
            return
        held or world.site.zfs.create(event.dataset, encrypted=event.dataset == "tank/b")
        world.site.zfs.snapshot(event.dataset, f"s{next(names)}", event.number)
    elif event.what == "destroy" and held and held.snapshots:
        victim = held.snapshots[event.number % len(held.snapshots)]
        with suppress(ZfsSays):
            world.site.zfs.destroy_snapshot(f"{event.dataset}@{victim.name}")
    elif event.what == "let go" and held:
        held.holds.clear()
    elif event.what == "forget" and held:
        held.bookmarks.clear()
    elif event.what == "meddle" and copy and copy.snapshots and event.number == 0:
        world.receiver.zfs.snapshot(f"cloud/{event.dataset}", f"theirs{next(names)}")
    elif event.what == "run":
        attempt(world, event.number)
    elif event.what == "lose line":
        world.transport.number = count(1)
        world.transport.break_at = {event.number: HostError("the line is lost")}
        attempt(world, 0)
        world.transport.break_at = {}


def attempt(world: World, moment: int) -> ReplicationReport | None:
    before = {name: list(copy) for name, copy in world.copies().items()}
    if moment:
        world.listen(Fuse(moment).step)
    try:
        return world.replicate()
    except (Killed, HostError, NoSpace):
        return None
    finally:
        world.listen()
        assert all(kept(copy, world.copies().get(name, [])) for name, copy in before.items())


@settings(max_examples=300, deadline=None)
@given(events)
def test_any_history_ends_with_equal_copies_or_a_named_conflict(history: list[Event]) -> None:
    world, names = World(), count()
    for event in history:
        happen(world, event, names)
    report = attempt(world, 0)
    assert report
    for dataset in report.datasets:
        held = world.site.zfs.find(dataset.replica.source)
        copy = world.receiver.zfs.datasets.get(dataset.replica.target)
        assert isinstance(dataset.error, ReplicationConflict | None)
        if dataset.error:
            known = {entry.guid for entry in (*held.snapshots, *held.bookmarks)}
            assert copy
            assert copy.snapshots[-1].guid not in known
        elif held.snapshots and copy and copy.snapshots:
            assert equal_after_first(world, dataset.replica.source)
        else:
            assert "no snapshot yet" in dataset.note or "waits for the first copy" in dataset.note
    again = attempt(world, 0)
    assert again
    assert again.steps == 0
    stuck = {name for each in again.errors for name in (each.replica.source, each.replica.target)}
    assert {name.partition("@")[0] for name in world.held()} <= stuck
    assert bool(world.noted()) == bool(world.held())


def equal_after_first(world: World, source: str) -> bool:
    """Every snapshot of the source that is younger than the copy's first is in the copy, which ends with the newest."""
    held, copy = world.site.zfs.find(source).snapshots, world.receiver.zfs.find(f"cloud/{source}").snapshots
    theirs = [snap.guid for snap in copy]
    return held[-1].guid in theirs and {snap.guid for snap in held if snap.guid >= theirs[0]} <= {*theirs}
