"""A copy whose source was destroyed is kept, and told; one that is excluded or not backed up any more is neither."""

from __future__ import annotations

from dataclasses import replace

from tests.fakes.zfs_changes import rename
from tests.unit.replication.test_renames import NAMES, guids, world_of_copies
from tests.unit.replication.world import NOW, TANK, World

from ec2zfs.model.policy import Keep
from ec2zfs.model.source import Source
from ec2zfs.plan.orphans import Orphan
from ec2zfs.plan.selection import Selection


def destroyed(world: World, *names: str) -> World:
    for name in names:
        del world.site.zfs.datasets[name]
    return world


def told(world: World) -> list[Orphan]:
    return list(world.replicate().orphans)


def test_a_copy_without_its_source_is_kept_and_told_in_every_run() -> None:
    world = destroyed(world_of_copies(), "tank/b")
    before = guids(world)
    for _ in range(2):
        report = world.replicate()
        assert "".join(map(str, report.orphans)) == (
            "tank/b does not exist any more at the site; its copy cloud/tank/b is kept. When nobody needs it, "
            "`zfs destroy -r cloud/tank/b` on the receiver ends it; the runbook tells how."
        )
        assert report.errors == ()
    assert guids(world) == before


def test_those_below_are_counted_with_the_one_above() -> None:
    world = destroyed(world_of_copies(), "tank/a/deep", "tank/a")
    assert told(world) == [Orphan("tank/a", "cloud/tank/a", 1)]


def test_one_that_goes_with_its_parent_is_told_where_it_is_then() -> None:
    world = destroyed(world_of_copies(), "tank/a/deep")
    rename(world.site.zfs, ["tank/a", "tank/z"])
    assert told(world) == told(world) == [Orphan("tank/z/deep", "cloud/tank/z/deep")]


def test_a_renamed_an_excluded_and_a_set_aside_one_are_no_orphans() -> None:
    world = world_of_copies()
    keeps: dict[str, Keep] = {"daily": Keep(1)}
    world.selection = Selection(lambda name: None if name == "tank/b" else keeps, lambda: NOW)
    rename(world.site.zfs, ["tank/a", "tank/z"])
    world.receiver.zfs.create("cloud/tank/old-set-aside-20261124T0000Z")
    assert told(world) == []


def test_what_was_taken_out_of_the_configuration_is_not_called_destroyed() -> None:
    world = world_of_copies()
    assert world.replicate([Source("tank/a")]).orphans == ()
    alone = world.replicate([replace(TANK[0], recursive=False)])
    assert alone.orphans == ()


def test_a_new_source_of_the_same_name_is_a_conflict_and_no_orphan() -> None:
    world = destroyed(world_of_copies(), "tank/b")
    world.site.zfs.create("tank/b")
    world.take("two")
    report = world.replicate()
    assert ([each.replica.source for each in report.errors], report.orphans) == (["tank/b"], ())


def test_a_copy_that_stepped_aside_for_nothing_is_told() -> None:
    world = world_of_copies()
    guid = world.site.zfs.find("tank/b").guid
    aside = f"ec2zfs-moving-{guid:016x}"
    rename(world.receiver.zfs, ["cloud/tank/b", f"cloud/{aside}"])
    destroyed(world, "tank/b")
    assert told(world) == [Orphan(aside, f"cloud/{aside}")]
    assert {*guids(world)} == {*NAMES, aside} - {"tank/b"}
