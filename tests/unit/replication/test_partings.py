"""Sources that were renamed to each other's names: their copies change places, or a conflict tells why they cannot."""

from __future__ import annotations

import copy
from datetime import UTC, datetime

import pytest
from tests.fakes.fuse import Fuse, Killed
from tests.fakes.zfs_changes import rename
from tests.unit.replication.test_renames import at_site, guids, world_of_copies
from tests.unit.replication.world import NOW, TANK, World, deaths_of

from ec2zfs.errors import CommandFailed, Refused, ReplicationConflict
from ec2zfs.execute.reconciliation import Reconciler
from ec2zfs.model.policy import Keep
from ec2zfs.plan.conflicts import PlaceTaken
from ec2zfs.plan.reconciliation import SetAside, dataset_plan, plan_remedy
from ec2zfs.plan.replication import ReplicationPlan, plan_replication
from ec2zfs.plan.selection import Selection

SWAP = ("a>t", "b>a", "t>b")
CYCLE = ("a>t", "c>a", "b>c", "t>b")
CHAIN = ("b>z", "a>b")
INTO_ONE_ANOTHER = ("a/deep>t", "a>t/deep", "t>a")
BELOW_ITSELF = ("a>t", "+a", "t>a/old")
WITH_CHILDREN_APART = ("a>t", "b>a", "t>b", "b/deep>a/deep")
NEW_AT_THE_OLD_NAME = ("a>z", "+a")


def happen(world: World, *events: str) -> World:
    """`"a>b"`: tank/a is renamed to tank/b; `"+a"`: tank/a is made."""
    for event in events:
        old, _, new = event.partition(">")
        if new:
            rename(world.site.zfs, [f"tank/{old}", f"tank/{new}"])
        else:
            world.site.zfs.create(f"tank/{event[1:]}")
    return world


def copied() -> World:
    """Copies of tank, tank/a, tank/a/deep, tank/b and tank/c."""
    world = world_of_copies()
    world.site.zfs.create("tank/c")
    world.site.zfs.snapshot("tank/c", "one")
    world.replicate().raise_for_errors()
    world.sent()
    return world


def planned(world: World) -> ReplicationPlan:
    replicator = world.replicator()
    return replicator.plan(replicator.observe(TANK))


@pytest.mark.parametrize(
    "events",
    [SWAP, CYCLE, CHAIN, INTO_ONE_ANOTHER, BELOW_ITSELF, WITH_CHILDREN_APART, NEW_AT_THE_OLD_NAME],
    ids=" ".join,
)
def test_copies_change_places_in_one_run_and_killed_at_any_event_in_two(events: tuple[str, ...]) -> None:
    before = happen(copied(), *events)
    made = {f"tank/{event[1:]}@two" for event in events if event[0] == "+"}
    before.take("two")
    straight = before
    deaths = deaths_of(straight, lambda world: world.replicate().raise_for_errors(), at_least=14)
    assert guids(straight) == at_site(straight)
    assert {line for line in straight.sent() if not line.startswith("-i ")} == made
    for death in deaths:
        world = death.world
        world.replicate().raise_for_errors()
        assert guids(world) == at_site(world), death.calls
        assert (world.held(), world.noted()) == ({}, {}), death.calls
        assert {line for line in world.sent() if not line.startswith(("-i ", "-t "))} <= made


def test_a_plan_names_what_steps_aside_and_why() -> None:
    world = happen(copied(), *SWAP)
    aside = {name: f"cloud/ec2zfs-moving-{world.site.zfs.find(f'tank/{name}').guid:016x}" for name in "ab"}
    plan = planned(world)
    assert [str(step) for step in plan.partings] == [
        f"rename cloud/tank/a to {aside['b']}, to make room for the copy that belongs there",
        f"rename cloud/tank/b to {aside['a']}, to make room for the copy that belongs there",
    ]
    assert [str(step) for step in dataset_plan(plan, "tank/a").steps] == [
        f"rename {aside['a']} to cloud/tank/a, as its source was"
    ]


def test_killed_between_the_renames_and_renamed_back_the_copies_come_back() -> None:
    world = happen(copied(), *SWAP)
    home = guids(world)
    world.receiver.hook = Fuse(next_rename(world, 2)).step
    with pytest.raises(Killed):
        world.replicate()
    world.listen()
    assert guids(world) != home
    happen(world, *SWAP)
    world.replicate().raise_for_errors()
    assert (guids(world), world.sent()) == (home, [])


def next_rename(world: World, number: int) -> int:
    """At which event of the receiver a rename begins, the first being 1."""
    counting, trial = Fuse(), copy.deepcopy(world)
    trial.receiver.hook = counting.step
    trial.replicate()
    renames = [place for place, event in enumerate(counting.calls, 1) if "before zfs rename" in event]
    return renames[number - 1]


def test_one_that_cannot_step_aside_is_told_and_the_next_run_ends_it() -> None:
    world = happen(copied(), *SWAP)
    world.take("two")

    def refuse(event: str) -> None:
        if "before zfs rename cloud/tank/a cloud/ec2zfs-moving" in event:
            raise CommandFailed("receiver", ("zfs", "rename"), 1, "cannot rename 'cloud/tank/a': dataset is busy")

    world.receiver.hook = refuse
    before = guids(world)
    report = world.replicate()
    assert [warning for warning in report.warnings if "cloud/tank/a could not make room" in warning]
    assert {each.replica.source for each in report.errors} == {"tank/a", "tank/b"}
    assert guids(world)["tank/a"] == before["tank/a"]
    world.listen()
    world.replicate().raise_for_errors()
    assert guids(world) == at_site(world)
    assert (world.held(), world.noted()) == ({}, {})
    assert all(line.startswith("-i ") for line in world.sent())


def conflict(world: World, source: str) -> PlaceTaken:
    found = dataset_plan(planned(world), source).conflict
    assert isinstance(found, PlaceTaken)
    return found


def test_a_stranger_at_the_new_place_is_a_conflict_of_its_own_and_repair_sets_it_aside() -> None:
    world = happen(copied(), "a>z")
    stranger = world.receiver.zfs.create("cloud/tank/z")
    world.receiver.zfs.snapshot("cloud/tank/z", "theirs")
    (failed,) = world.replicate().errors
    assert isinstance(failed.error, ReplicationConflict)
    assert failed.error.message == (
        "tank/z was renamed, and its copy cloud/tank/a cannot follow it to cloud/tank/z, where another dataset stands, "
        "with the snapshots @theirs."
    )
    assert "`ec2zfs repair tank/z` sets cloud/tank/z aside" in failed.error.hint
    replicator = world.replicator()
    state = replicator.observe(TANK)
    found = dataset_plan(plan_replication(replicator.selection.among(state)), "tank/z").conflict
    assert found
    remedy = plan_remedy(found, state, datetime(2026, 11, 24, tzinfo=UTC), set_aside=False)
    assert remedy == SetAside(
        "cloud/tank/z", "cloud/tank/z-set-aside-20261124T0000Z", stranger.guid, ("cloud/tank/z/deep",)
    )
    Reconciler(world.receiver).carry_out(remedy)
    world.replicate().raise_for_errors()
    there = guids(world)
    assert there.pop("tank/z-set-aside-20261124T0000Z")
    assert (there, world.sent()) == (at_site(world), [])


def test_whose_copy_stands_there_is_told() -> None:
    world = happen(copied(), "b>z", "a>b")
    world.receiver.zfs.create("cloud/tank/z")
    found = conflict(world, "tank/b")
    assert (found.strayed, found.owner, [each.name for each in found.snapshots]) == ("cloud/tank/a", "tank/z", ["one"])
    assert "where the copy of tank/z stands" in str(found)
    assert "`ec2zfs repair tank/z --dry-run` tells why" in found.advice()
    assert conflict(world, "tank/z").snapshots == ()
    assert "where another dataset stands, without a snapshot" in str(conflict(world, "tank/z"))
    assert planned(world).partings == ()
    state = world.replicator().observe(TANK)
    with pytest.raises(Refused, match="where the copy of tank/z stands"):
        plan_remedy(found, state, NOW, set_aside=False)
    assert isinstance(plan_remedy(found, state, NOW, set_aside=True), SetAside)


def test_the_copy_of_an_excluded_source_does_not_step_aside() -> None:
    world = copied()
    keeps: dict[str, Keep] = {"daily": Keep(1)}
    world.selection = Selection(lambda name: None if name == "tank/z" else keeps, lambda: NOW)
    happen(world, "b>z", "a>b")
    found = conflict(world, "tank/b")
    assert (found.owner, found.owner_follows, planned(world).partings) == ("tank/z", False, ())
    assert "`ec2zfs repair tank/b` sets cloud/tank/b aside" in found.advice()


def test_a_copy_with_which_another_source_goes_on_is_not_moved() -> None:
    world = copied()
    world.site.zfs.datasets["tank/twin"] = copy.deepcopy(world.site.zfs.find("tank/a"))
    world.site.zfs.find("tank/twin").guid += 1 << 40
    happen(world, "a>z", "twin>a")
    world.take("two")
    world.replicate().raise_for_errors()
    assert {"tank/z@one", "-i tank/a@one tank/a@two"} <= {*world.sent()}


def test_the_holds_of_a_copy_whose_place_is_taken_stay() -> None:
    world = copied()
    world.site.zfs.find("tank/a").bookmarks.clear()
    world.site.zfs.hold("ec2zfs:cloud", ["tank/a@one"])
    world.receiver.zfs.hold("ec2zfs:cloud", ["cloud/tank/a@one"])
    for host in (world.site, world.receiver):
        host.zfs.find({"site": "tank", "receiver": "cloud"}[host.name]).properties["ec2zfs:holds"] = "cloud"
    happen(world, "a>z")
    world.receiver.zfs.create("cloud/tank/z")
    assert world.replicate().errors
    assert {*world.held()} == {"tank/z@one", "cloud/tank/a@one"}


def test_what_has_to_follow_first_cannot_be_repaired_yet() -> None:
    world = happen(copied(), "a>z")
    world.receiver.zfs.find("cloud/tank/a/deep").written = 5
    replicator = world.replicator()
    state = replicator.observe(TANK)
    found = dataset_plan(plan_replication(replicator.selection.among(state)), "tank/z/deep").conflict
    assert found
    with pytest.raises(Refused, match="cloud/tank/z/deep does not stand in the pool yet"):
        plan_remedy(found, state, datetime(2026, 11, 24, tzinfo=UTC), set_aside=False)


def test_names_that_would_be_too_long_aside_are_a_conflict() -> None:
    world = World()
    world.site.zfs.create("tank/a")
    world.site.zfs.create("tank/b")
    world.site.zfs.create("tank/a/deep")
    world.site.zfs.snapshot("tank/a/deep", "x" * 225)
    for name in ("tank", "tank/a", "tank/b"):
        world.site.zfs.snapshot(name, "one")
    world.replicate().raise_for_errors()
    happen(world, *SWAP)
    assert planned(world).partings == ()
    assert {each.replica.source for each in planned(world).datasets if each.conflict} == {"tank/a", "tank/b"}
