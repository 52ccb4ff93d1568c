"""Snapshots as they are taken: what is due, what is atomic, the hooks around them, and taking them twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import cast

import pytest
from tests.fakes.day import DAILY
from tests.unit.replication.world import World

from ec2zfs.errors import CommandFailed, ConfigurationError
from ec2zfs.execute.hooks import Hooks
from ec2zfs.hosts.host import Command, Host
from ec2zfs.hosts.local import LocalHost
from ec2zfs.model.policy import PolicyRule
from ec2zfs.model.snapshot_name import snapshot_name
from ec2zfs.model.source import Source
from ec2zfs.runs.snapshots import Site

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


def test_all_datasets_of_a_pool_are_taken_at_once() -> None:
    world = World()
    for name in ("tank/a", "tank/a/deep", "tank/a/scratch", "tank/b", "pond"):
        world.site.zfs.create(name)
    sources = (Source("tank/a"), Source("tank/b"), Source("tank", recursive=False), Source("pond"))
    schedule = replace(DAILY, rules=(*DAILY.rules, PolicyRule(("tank/*/scratch",), exclude=True)))
    taken = Site(world.site, sources, schedule).take_due(NOW)
    assert [str(action) for action in taken] == [f"take {NAME} of 4 datasets of tank", f"take {NAME} of pond"]
    assert names(world) == {"tank/a/scratch": []} | {
        name: [NAME] for name in ("tank", "tank/a", "tank/a/deep", "tank/b", "pond")
    }
    snaps = {name: world.site.zfs.find(name).snapshots[0] for name in ("tank", "tank/a", "tank/a/deep", "tank/b")}
    assert len({snap.txg for snap in snaps.values()}) == 1
    assert dict(snaps["tank/a/deep"].properties) == {"ec2zfs:run": "2026-11-23T02:17:00Z", "ec2zfs:period": "daily"}


def test_what_is_due_is_taken_once_and_caught_up_once() -> None:
    world = World()
    site = Site(world.site, (Source("tank"),), DAILY)
    assert len(site.take_due(NOW)) == 1
    assert site.take_due(NOW) == ()
    assert site.take_due(NOW + timedelta(hours=20)) == ()
    world.site.zfs.create("tank/new")
    (action,) = site.take_due(NOW + timedelta(hours=20, minutes=1))
    assert action.datasets == ("tank/new",)
    assert len(site.take_due(NOW + timedelta(days=9))) == 1
    assert len(names(world)["tank"]) == 2


def test_a_period_can_be_taken_before_its_time() -> None:
    world = World()
    site = Site(world.site, (Source("tank"),), DAILY)
    site.take_due(NOW)
    (action,) = site.take_due(NOW + timedelta(hours=1), "daily")
    assert action.name == "ec2zfs_2026-11-23T03:17:00Z_daily"
    assert site.take_due(NOW, "weekly") == (), "no policy here keeps any of it"
    with pytest.raises(ConfigurationError, match=r"no period fortnightly\. There are hourly, mid-day, daily"):
        site.take_due(NOW, "fortnightly")


def test_nothing_is_taken_when_a_source_is_missing() -> None:
    world = World()
    with pytest.raises(ConfigurationError, match="no dataset tank/gone"):
        Site(world.site, (Source("tank"), Source("tank/gone"))).take_due(NOW)
    assert names(world) == {"tank": []}


class WithPrograms:
    """The site, on which programs that are no ZFS run on this machine."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.heard: list[str] = []

    def run(self, command: Command) -> object:
        self.heard.append(command.argv[0] if command.argv[0] != "sh" else command.argv[3])
        return (self.world.site if command.argv[0] in ("zfs", "sh") else LocalHost()).run(command)

    def __getattr__(self, name: str) -> object:
        return getattr(self.world.site, name)


# before, after, what runs, what is told
HOOKS = {
    "both": (("true",), ("true",), ["true", "zfs_snapshot.sh", "true"], None),
    "no freeze": (("false",), ("true",), ["false", "true"], "`false` exited with 1.*No snapshot was taken"),
    "freeze hangs": (("sleep", "60"), ("true",), ["sleep", "true"], "did not end within 0.2 s.*No snapshot was taken"),
    "no thaw": (None, ("false",), ["zfs_snapshot.sh", "false"], "`false` exited with 1.*still is"),
    "neither": (("false",), ("false",), ["false", "false"], "No snapshot was taken"),
}


@pytest.mark.parametrize("case", HOOKS)
def test_hooks_run_around_the_snapshots(case: str) -> None:
    before, after, heard, told = HOOKS[case]
    world = World()
    host = WithPrograms(world)
    site = Site(cast("Host", host), (Source("tank"),), DAILY, Hooks(before, after, 0.2))
    if told is None:
        site.take_due(NOW)
    else:
        with pytest.raises(CommandFailed, match=told):
            site.take_due(NOW)
    assert host.heard[2:] == heard
    assert len(names(world)["tank"]) == ("zfs_snapshot.sh" in heard)


def test_hooks_do_not_run_when_nothing_is_due() -> None:
    world = World()
    host = WithPrograms(world)
    site = Site(cast("Host", host), (Source("tank"),), DAILY, Hooks(("false",)))
    with pytest.raises(CommandFailed):
        site.take_due(NOW)
    replace(site, hooks=Hooks()).take_due(NOW)
    assert site.take_due(NOW) == ()
