"""Holds in whole runs: how many executions they cost, what stays after each kind of end, and what becomes of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.fakes.fuse import Fuse, Killed
from tests.fakes.zfs_pool import ZfsSays
from tests.unit.replication.world import STANDARD, World

from ec2zfs.errors import CommandFailed, HostError, NoSpace
from ec2zfs.model.source import Source

OURS = ["ec2zfs:cloud"]


def scripts(world: World) -> tuple[list[str], list[str]]:
    """How often each host was asked about holds since the last time, and for what."""
    told = tuple(
        [argv[4] for argv in host.commands if argv[3:4] == ("zfs_hold.sh",)] for host in (world.site, world.receiver)
    )
    for host in (world.site, world.receiver):
        host.commands.clear()
    return told  # type: ignore[return-value]


@pytest.mark.parametrize("children", [1, 30])
def test_holds_cost_two_executions_a_host_however_many_there_are(children: int) -> None:
    world = World()
    world.site.zfs.snapshot("tank", "one")
    names = [f"tank/{number}" for number in range(children)]
    for name in names:
        world.site.zfs.create(name)
        world.site.zfs.snapshot(name, "one")
    world.replicate()
    assert scripts(world) == (["hold", "release"], [])
    for name in names:
        world.site.zfs.snapshot(name, "two")
    world.replicate()
    assert scripts(world) == (["hold", "release"], ["hold", "release"])
    world.replicate()
    assert scripts(world) == ([], [])
    assert (world.held(), world.noted()) == ({}, {})


def cut_off(failure: BaseException) -> World:
    """`one` is there, `two` breaks off half way for ever, `three` waits; another dataset is up to date."""
    world = World()
    world.site.zfs.create("tank/calm")
    world.site.zfs.snapshot("tank/calm", "one")
    world.site.zfs.snapshot("tank", "one", 1000)
    world.replicate()
    for name in ("two", "three"):
        world.site.zfs.snapshot("tank", name, 600)
    scripts(world)
    world.transport.break_at = dict.fromkeys(range(3, 20), failure)
    return world


def test_a_killed_run_leaves_its_holds_and_the_next_one_takes_them_over() -> None:
    world = cut_off(Killed("gone"))
    with pytest.raises(Killed):
        world.replicate()
    assert world.held() == dict.fromkeys(("tank@one", "tank@two", "tank@three", "cloud/tank@one"), OURS)
    assert world.noted() == {"tank": "cloud", "cloud": "cloud"}
    scripts(world)
    world.transport.break_at = {}
    world.replicate().raise_for_errors()
    assert scripts(world) == (["list", "release"], ["list", "release"])
    assert (world.held(), world.noted()) == ({}, {})
    world.site.zfs.destroy_snapshot("tank@two")


def test_of_a_dataset_that_failed_only_what_its_part_needs_stays_held() -> None:
    world = cut_off(CommandFailed("site", ("zfs", "send"), 143, "Terminated"))
    assert world.replicate().errors
    assert world.receiver.zfs.find("cloud/tank").partial
    assert world.held() == dict.fromkeys(("tank@one", "tank@two", "cloud/tank@one"), OURS)
    assert world.noted() == {"tank": "cloud", "cloud": "cloud"}


def test_a_pool_that_is_full_leaves_only_what_its_part_needs_held() -> None:
    world = cut_off(Killed("not reached"))
    world.transport.break_at = {}
    replicator = world.replicator()
    plan = replicator.plan(replicator.observe([Source("tank")]))
    world.receiver.zfs.available = 300
    with pytest.raises(NoSpace):
        replicator.run(plan)
    assert world.held() == dict.fromkeys(("tank@one", "tank@two", "cloud/tank@one"), OURS)


def test_a_host_that_is_gone_leaves_all_holds_for_the_next_run() -> None:
    world = cut_off(HostError("silence"))
    world.transport.hook = lambda event: silent(world) if event == "stream: half way" else None
    with pytest.raises(HostError):
        world.replicate()
    world.receiver.hook = lambda _: None
    assert "tank@three" in world.held()


def silent(world: World) -> None:
    def unanswered(_: str) -> None:
        raise HostError("no answer")

    world.receiver.hook = unanswered


def test_a_base_whose_bookmark_could_not_be_made_stays_held_until_it_has_one() -> None:
    world = World()
    world.site.zfs.snapshot("tank", "one")

    def full(event: str) -> None:
        if "before zfs bookmark" in event:
            raise CommandFailed("site", ("zfs", "bookmark"), 1, "cannot create bookmark: out of space")

    world.site.hook = full
    world.replicate().raise_for_errors()
    assert world.held() == {"tank@one": OURS}
    with pytest.raises(ZfsSays, match="it's being held"):
        world.site.zfs.destroy_snapshot("tank@one")
    world.listen()
    world.replicate().raise_for_errors()
    assert (world.held(), world.noted()) == ({}, {})


def test_a_dataset_whose_name_leaves_no_room_for_a_cursor_has_its_base_held_for_ever() -> None:
    world = World()
    world.site.zfs.snapshot("tank", "one")
    name = "tank/" + "x" * 230
    world.site.zfs.create(name)
    for snapshot in ("one", "two"):
        world.site.zfs.snapshot(name, snapshot)
        world.replicate().raise_for_errors()
        world.replicate().raise_for_errors()
        assert world.held() == {f"{name}@{snapshot}": OURS, f"cloud/{name}@{snapshot}": OURS}
    scripts(world)
    world.replicate()
    assert scripts(world) == (["list"], ["list"])


def test_holds_of_others_and_for_other_pools_are_left_alone() -> None:
    world = World()
    world.site.zfs.snapshot("tank", "one")
    world.site.zfs.hold("mine", ["tank@one"])
    world.site.zfs.hold("ec2zfs:other", ["tank@one"])
    world.site.zfs.find("tank").properties["ec2zfs:holds"] = "other,cloud"
    world.replicate().raise_for_errors()
    assert (world.held(), world.noted()) == ({"tank@one": ["mine", "ec2zfs:other"]}, {"tank": "other"})


def test_holds_of_a_copy_whose_source_is_gone_are_released() -> None:
    world = World()
    world.site.zfs.create("tank/old")
    for name in ("tank", "tank/old"):
        world.site.zfs.snapshot(name, "one")
    world.replicate()
    del world.site.zfs.datasets["tank/old"]
    world.receiver.zfs.hold("ec2zfs:cloud", ["cloud/tank/old@one"])
    world.receiver.zfs.find("cloud").properties["ec2zfs:holds"] = "cloud"
    world.replicate()
    assert (world.held(), world.noted()) == ({}, {})


@pytest.mark.parametrize("verb", ["hold", "release", "holds"])
def test_holds_that_cannot_be_worked_on_are_told_and_stop_nothing(verb: str) -> None:
    world = World()
    world.site.zfs.snapshot("tank", "one")
    world.site.zfs.hold("ec2zfs:cloud", ["tank@one"])
    world.site.zfs.find("tank").properties["ec2zfs:holds"] = "cloud"
    if verb == "hold":
        world.site.zfs.release("ec2zfs:cloud", ["tank@one"])

    def denied(event: str) -> None:
        if f"before zfs {verb} " in event:
            raise CommandFailed("site", ("zfs", verb), 1, "permission denied")

    world.site.hook = denied
    report = world.replicate()
    report.raise_for_errors()
    assert world.copies() == {"tank": ["one"]}
    assert report.warnings
    assert all("permission denied" in warning for warning in report.warnings)
    if verb != "hold":
        assert world.noted() == {"tank": "cloud"}
    world.listen()
    world.replicate()
    assert (world.held(), world.noted()) == ({}, {})


def test_a_child_that_waits_for_its_parent_leaves_nothing_held() -> None:
    world = World()
    world.site.zfs.create("tank/home")
    for name in ("tank", "tank/home"):
        world.site.zfs.snapshot(name, "one")
    said = CommandFailed("site", ("zfs", "send"), 1, "cannot send 'tank@one': Input/output error")
    world.transport.break_at = dict.fromkeys(range(1, 9), said)
    assert world.replicate().errors
    assert world.held() == {"tank@one": OURS}


def test_what_a_killed_run_held_is_released_where_the_source_is_excluded_now() -> None:
    world = World()
    world.site.zfs.create("tank/a")
    world.take("one")
    world.transport.hook = Fuse(2).step
    with pytest.raises(Killed):
        world.replicate()
    world.listen()
    assert "tank/a@one" in world.held()
    keeps = STANDARD.keeps
    world.selection = replace(STANDARD, keeps=lambda name: None if name == "tank/a" else keeps(name))
    world.replicate().raise_for_errors()
    assert (world.held(), world.noted()) == ({}, {})
