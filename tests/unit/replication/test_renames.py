"""A source that was renamed at the site keeps its copy, which follows it; nothing is sent a second time."""

from __future__ import annotations

import copy
from datetime import timedelta
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import sweep
from tests.fakes.fuse import Fuse, Killed
from tests.fakes.zfs_changes import rename
from tests.fakes.zfs_pool import ZfsSays
from tests.unit.replication.world import NOW, TANK, World, deaths_of

from ec2zfs.errors import CommandFailed
from ec2zfs.execute.hold_listing import list_holds
from ec2zfs.model.policy import Keep
from ec2zfs.model.snapshot_name import snapshot_name
from ec2zfs.plan.selection import Selection

NAMES = ("tank", "tank/a", "tank/a/deep", "tank/b")


def world_of_copies() -> World:
    world = World()
    for name in NAMES[1:]:
        world.site.zfs.create(name)
    world.take("one")
    world.replicate().raise_for_errors()
    world.sent()
    return world


def guids(world: World) -> dict[str, list[int]]:
    """The snapshots' GUIDs of the copies, by the names of their sources."""
    held = world.receiver.zfs.datasets.items()
    return {
        name.removeprefix("cloud/"): [snap.guid for snap in each.snapshots] for name, each in held if each.snapshots
    }


def at_site(world: World) -> dict[str, list[int]]:
    return {name: [snap.guid for snap in held.snapshots] for name, held in world.site.zfs.datasets.items()}


@pytest.mark.parametrize("new", ["tank/c", "tank/b/c"])
def test_a_copy_follows_its_source_with_all_below_it(new: str) -> None:
    world = world_of_copies()
    rename(world.site.zfs, ["tank/a", new])
    world.take("two")
    world.replicate().raise_for_errors()
    assert guids(world) == at_site(world)
    assert all(line.startswith("-i ") for line in world.sent())
    assert (world.held(), world.noted()) == ({}, {})


def test_below_a_new_parent_it_follows_when_that_is_there() -> None:
    world = world_of_copies()
    world.site.zfs.create("tank/new")
    rename(world.site.zfs, ["tank/a", "tank/new/a"])
    world.take("two")
    world.replicate().raise_for_errors()
    assert guids(world) == at_site(world)
    assert [line for line in world.sent() if not line.startswith("-i ")] == ["tank/new@two"]


def test_killed_at_any_event_it_ends_the_same() -> None:
    before = world_of_copies()
    rename(before.site.zfs, ["tank/a", "tank/c"])
    before.take("two")
    for death in deaths_of(before, lambda world: world.replicate().raise_for_errors(), at_least=14):
        world = death.world
        world.replicate().raise_for_errors()
        assert guids(world) == at_site(world), death.calls
        assert (world.held(), world.noted()) == ({}, {}), death.calls
        assert all(line.startswith(("-i ", "-t ")) for line in world.sent())


def test_holds_go_with_the_copy_and_with_those_below_it() -> None:
    world = world_of_copies()
    rename(world.site.zfs, ["tank/a", "tank/c"])
    world.take("two")
    held = list[set[str]]()

    def look(event: str) -> None:
        if event == "stream: half way":
            held.append(set(world.held()))

    world.listen(look)
    world.replicate().raise_for_errors()
    followed = {"cloud/tank/c@one", "cloud/tank/c/deep@one"}
    assert [names & followed for names in held[-2:]] == [followed, followed]
    assert (world.held(), world.noted()) == ({}, {})


def test_what_a_killed_run_held_is_known_and_released_after_the_copy_was_renamed() -> None:
    world = world_of_copies()
    world.take("two")
    world.transport.hook = Fuse(2).step
    with pytest.raises(Killed):
        world.replicate()
    assert "cloud/tank/a/deep@one" in world.held()
    world.listen()
    rename(world.site.zfs, ["tank/a", "tank/c"])
    listed = {each.hold.snapshot: each.needed for each in list_holds(world.site, TANK, "cloud", world.receiver)}
    assert (listed["cloud/tank/a@one"], listed["cloud/tank/a/deep@one"]) == (True, True)
    world.replicate().raise_for_errors()
    assert guids(world) == at_site(world)
    assert (world.held(), world.noted()) == ({}, {})


def test_a_copy_that_cannot_be_renamed_now_is_told_and_only_its_base_stays_held() -> None:
    world = world_of_copies()
    rename(world.site.zfs, ["tank/a", "tank/c"])
    world.take("two")

    def refuse(event: str) -> None:
        if "before zfs rename" in event:
            raise CommandFailed("receiver", ("zfs", "rename"), 1, "cannot rename 'cloud/tank/a': dataset is busy")

    world.receiver.hook = refuse
    report = world.replicate()
    assert [each.replica.source for each in report.datasets if each.error] == ["tank/c"]
    assert [name for name in world.held() if name.startswith("cloud/")] == ["cloud/tank/a@one"]
    world.listen()
    world.replicate().raise_for_errors()
    assert guids(world) == at_site(world)
    assert (world.held(), world.noted()) == ({}, {})


def test_the_base_of_a_renamed_source_is_known_though_it_would_not_be_kept_any_more() -> None:
    keeps: dict[str, Keep] = {"daily": Keep(1)}
    world = World(selection=Selection(lambda _name: keeps, lambda: NOW))
    world.site.zfs.create("tank/a")
    for day in (3, 2, 1):
        world.take(snapshot_name(NOW - timedelta(days=day), "daily"))
        if day > 1:
            world.replicate().raise_for_errors()
    old = world.site.zfs.find("tank/a")
    old.bookmarks.clear()
    rename(world.site.zfs, ["tank/a", "tank/c"])
    plan = world.replicator().plan(world.replicator().observe(TANK))
    told = [str(step) for each in plan.datasets if each.replica.source == "tank/c" for step in each.transfers]
    newest, base = old.snapshots[-1].name, old.snapshots[-2].name
    assert told == [f"send tank/c@{newest} since @{base}"]


def test_a_copy_that_was_set_aside_does_not_come_back() -> None:
    world = world_of_copies()
    copies = world.receiver.zfs
    copies.find("cloud/tank/a").properties.pop("ec2zfs:source")
    rename(copies, ["cloud/tank/a", "cloud/tank/a-set-aside"])
    world.replicate().raise_for_errors()
    assert world.sent() == ["tank/a@one"]
    assert "cloud/tank/a-set-aside" in copies.datasets
    assert guids(world)["tank/a/deep"] == at_site(world)["tank/a/deep"], "the copy below it came back"


def test_two_copies_with_one_mark_are_both_left_alone() -> None:
    world = world_of_copies()
    world.receiver.zfs.datasets["cloud/twin"] = copy.deepcopy(world.receiver.zfs.find("cloud/tank/b"))
    rename(world.site.zfs, ["tank/b", "tank/c"])
    world.replicate().raise_for_errors()
    assert {"cloud/twin", "cloud/tank/b", "cloud/tank/c"} <= world.receiver.zfs.datasets.keys()


fresh = st.lists(st.tuples(st.sampled_from(NAMES[1:]), st.booleans()), min_size=1, max_size=6)


@settings(max_examples=sweep.examples(100), deadline=None)
@given(fresh)
def test_after_any_renames_to_new_names_only_increments_are_sent(history: list[tuple[str, bool]]) -> None:
    world, numbers = world_of_copies(), count()
    now = {name: world.site.zfs.find(name) for name in NAMES}
    for name, runs in history:
        old = next(each for each, held in world.site.zfs.datasets.items() if held is now[name])
        try:
            rename(world.site.zfs, [old, f"tank/new{next(numbers)}"])
        except ZfsSays:
            continue
        if runs:
            world.take(f"s{next(numbers)}")
            world.replicate().raise_for_errors()
    world.replicate().raise_for_errors()
    assert guids(world) == at_site(world)
    assert all(line.startswith("-i ") for line in world.sent())
    assert (world.held(), world.noted()) == ({}, {})
