"""Snapshots of a run: their name, what is atomic, and taking them twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from tests.unit.replication.world import World

from ec2zfs.errors import ConfigurationError
from ec2zfs.execute.snapshots import take
from ec2zfs.model.snapshot_name import snapshot_name
from ec2zfs.model.source import Source

NOW = datetime(2026, 11, 23, 2, 17, tzinfo=UTC)
NAME = "ec2zfs_2026-11-23T02:17:00Z_daily"


@pytest.mark.parametrize("now", [NOW, datetime(2026, 11, 23, 4, 17, tzinfo=timezone(timedelta(hours=2)))])
def test_names_are_in_utc(now: datetime) -> None:
    assert snapshot_name(now, "daily") == NAME


def test_a_time_without_a_zone_names_nothing() -> None:
    with pytest.raises(ValueError, match="time zone"):
        snapshot_name(datetime(2026, 11, 23), "daily")  # noqa: DTZ001 - what is refused here


def names(world: World) -> dict[str, list[str]]:
    return {name: [snap.name for snap in held.snapshots] for name, held in world.site.zfs.datasets.items()}


def snapshot_commands(world: World) -> list[str]:
    return [" ".join(argv) for argv in world.site.commands if argv[:2] == ("zfs", "snapshot")]


def test_sources_of_one_kind_and_pool_are_taken_at_once() -> None:
    world = World()
    for name in ("tank/a", "tank/a/deep", "tank/b", "pond"):
        world.site.zfs.create(name)
    sources = (Source("tank/a"), Source("tank/b"), Source("tank", recursive=False), Source("pond"))
    taken = take(world.site, sources, NOW)
    assert (taken.name, taken.created, taken.existing) == (NAME, sources, ())
    assert names(world) == {name: [NAME] for name in ("tank", "tank/a", "tank/a/deep", "tank/b", "pond")}
    marks = "-o ec2zfs:run=2026-11-23T02:17:00Z -o ec2zfs:period=daily"
    assert snapshot_commands(world) == [
        f"zfs snapshot -r {marks} pond@{NAME}",
        f"zfs snapshot {marks} tank@{NAME}",
        f"zfs snapshot -r {marks} tank/a@{NAME} tank/b@{NAME}",
    ]
    assert dict(world.site.zfs.find("tank/a/deep").snapshots[0].properties)["ec2zfs:period"] == "daily"


def test_taking_them_again_takes_only_what_is_missing() -> None:
    world = World()
    world.site.zfs.create("tank/a")
    world.site.zfs.create("tank/b")
    a, b = Source("tank/a"), Source("tank/b")
    take(world.site, (a,), NOW)
    taken = take(world.site, (a, b), NOW)
    assert (taken.created, taken.existing) == ((b,), (a,))
    assert take(world.site, (a, b), NOW).created == ()
    assert names(world)["tank/a"] == [NAME]


def test_nothing_is_taken_when_a_source_is_missing() -> None:
    world = World()
    with pytest.raises(ConfigurationError, match="no dataset tank/gone"):
        take(world.site, (Source("tank"), Source("tank/gone")), NOW)
    assert names(world) == {"tank": []}
