"""Copies that bear no mark, since an earlier version made them, are marked as those of their sources, once."""

from __future__ import annotations

from tests.fakes.zfs_changes import rename
from tests.unit.replication.test_renames import at_site, guids, world_of_copies
from tests.unit.replication.world import TANK, World, deaths_of

from ec2zfs.errors import CommandFailed

MARK = "ec2zfs:source"


def marks(world: World) -> dict[str, str]:
    return {
        name: held.properties[MARK] for name, held in world.receiver.zfs.datasets.items() if MARK in held.properties
    }


def right_marks(world: World) -> dict[str, str]:
    return {f"cloud/{name}": str(held.guid) for name, held in world.site.zfs.datasets.items()}


def of_an_earlier_version() -> World:
    world = world_of_copies()
    for held in world.receiver.zfs.datasets.values():
        held.properties.pop(MARK, None)
    return world


def test_all_are_marked_in_one_execution_and_then_they_follow() -> None:
    world = of_an_earlier_version()
    counts = []
    for _ in range(2):
        world.receiver.commands.clear()
        world.replicate().raise_for_errors()
        counts.append(len(world.receiver.commands))
    assert marks(world) == right_marks(world)
    assert counts == [6, 5]
    rename(world.site.zfs, ["tank/a", "tank/b/a"])
    world.replicate().raise_for_errors()
    assert (guids(world), world.sent()) == (at_site(world), [])


def test_killed_at_any_event_the_next_run_marks_what_is_left() -> None:
    for death in deaths_of(of_an_earlier_version(), at_least=2):
        world = death.world
        world.replicate().raise_for_errors()
        assert marks(world) == right_marks(world)


def test_only_what_goes_on_with_the_source_is_marked() -> None:
    world = of_an_earlier_version()
    world.receiver.zfs.find("cloud/tank/b").snapshots.clear()
    world.receiver.zfs.snapshot("cloud/tank/b", "theirs")
    world.replicate()
    assert {*right_marks(world)} - {*marks(world)} == {"cloud/tank/b"}


def test_a_source_that_was_made_anew_with_its_snapshots_gets_its_copy_marked_anew() -> None:
    world = world_of_copies()
    world.site.zfs.find("tank/b").guid += 1 << 40
    world.replicate().raise_for_errors()
    assert marks(world) == right_marks(world)


def test_where_another_copy_bears_the_mark_nothing_is_marked() -> None:
    world = of_an_earlier_version()
    world.receiver.zfs.create("cloud/other").properties[MARK] = str(world.site.zfs.find("tank/b").guid)
    world.replicate().raise_for_errors()
    assert "cloud/tank/b" not in marks(world)


def test_a_mark_that_cannot_be_put_on_is_a_warning_and_no_more() -> None:
    world = of_an_earlier_version()
    world.take("two")

    def refuse(event: str) -> None:
        if "before zfs set ec2zfs:source" in event:
            raise CommandFailed("receiver", ("zfs", "set"), 1, "cannot set property: permission denied")

    world.receiver.hook = refuse
    report = world.replicate()
    assert report.errors == ()
    assert [warning for warning in report.warnings if "permission denied" in warning]
    assert guids(world) == at_site(world)


def test_what_a_plan_marks_can_be_printed() -> None:
    world = of_an_earlier_version()
    replicator = world.replicator()
    mark, *_ = replicator.plan(replicator.observe(TANK)).marks
    guid = world.site.zfs.find("tank").guid
    assert str(mark) == f"mark cloud/tank as the copy of the dataset with the GUID {guid}"
