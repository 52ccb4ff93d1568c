"""The controller dies at any moment; whoever comes next looks again, plans again, and ends where nobody had died.

Every moment of one rich day, one by one; test_histories.py has random ones.
"""

from __future__ import annotations

import pytest
from tests.fakes.fuse import Killed
from tests.fakes.zfs_pool import ZfsSays
from tests.unit.replication.world import World, deaths_of

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
    for death in deaths_of(straight, lambda world: world.replicate().raise_for_errors(), at_least=10):
        world = death.world
        before = world.copies()
        world.replicate().raise_for_errors()
        assert settled(world) == settled(straight), death.calls
        assert (world.held(), world.noted()) == ({}, {}), death.calls
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
