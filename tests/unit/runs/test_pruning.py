"""Pruning in the daily run of an imagined world: what goes, what never does, and a run that is cut off on the way."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.fakes.day import DAILY, Controller, Cut, Day
from tests.unit.runs.days import FIRST_DAY, NEXT_DAY, deaths_of, ran, require_rest

from ec2zfs.errors import CommandFailed, NoCapacity, ReplicationConflict
from ec2zfs.model.instance import Market
from ec2zfs.model.policy import Keep, PolicyRule, Tier
from ec2zfs.runs.backup import PRUNE

THIRD_DAY = NEXT_DAY + timedelta(days=1)
ONE = replace(DAILY, rules=(*DAILY.rules, PolicyRule(("**",), {Tier.SITE: {"daily": Keep(1)}})))


@pytest.fixture
def day() -> Day:
    """Two days have been; the site is to keep but the newest daily snapshot."""
    day = Day()
    for when in (FIRST_DAY, NEXT_DAY):
        Controller(day).back_up(when)
    day.schedule = ONE
    return day


def ours(day: Day, name: str = "tank") -> list[str]:
    return [snap.name for snap in day.site.zfs.find(name).snapshots if snap.name.startswith("ec2zfs")]


def test_the_site_is_pruned_and_the_copies_keep_more(day: Day) -> None:
    Controller(day).back_up(THIRD_DAY)
    for name in ("tank", "tank/home", "www"):
        assert [snap.name for snap in day.site.zfs.find(name).snapshots] == [
            "theirs",
            "ec2zfs_2026-11-26T02:17:00Z_daily",
        ]
        assert len(day.copied()[name]) == 4
    before = day.histories()
    Controller(day).back_up(THIRD_DAY + timedelta(minutes=1))
    assert day.histories() == before, "pruning twice is pruning once"


def test_the_copies_are_pruned_by_their_own_rules_but_for_the_newest(day: Day) -> None:
    day.schedule = replace(ONE, rules=(*ONE.rules, PolicyRule(("tank",), {Tier.CLOUD: {"daily": Keep(2)}})))
    Controller(day).back_up(THIRD_DAY)
    kept = ["theirs", "ec2zfs_2026-11-25T02:17:00Z_daily", "ec2zfs_2026-11-26T02:17:00Z_daily"]
    assert [name for name, _ in day.copied()["tank"]] == [name for name, _ in day.copied()["tank/home"]] == kept
    assert len(day.copied()["www"]) == 4
    before = day.copied()
    Controller(day).back_up(THIRD_DAY + timedelta(minutes=1))
    assert day.copied() == before


def test_a_copy_that_is_not_whole_is_not_pruned(day: Day) -> None:
    day.schedule = replace(ONE, rules=(*ONE.rules, PolicyRule(("**",), {Tier.CLOUD: {"daily": Keep(1)}})))
    day.copies.zfs.snapshot("cloud/www", "not ours")
    with pytest.raises(ReplicationConflict):
        Controller(day).back_up(THIRD_DAY)
    assert [name for name, _ in day.copied()["tank"]] == ["theirs", "ec2zfs_2026-11-26T02:17:00Z_daily"]
    assert len(day.copied()["www"]) == 4, "two of ours, theirs and the one in the way"
    assert ours(day, "www") == ["ec2zfs_2026-11-26T02:17:00Z_daily"]


def test_it_is_pruned_while_the_far_side_is_down() -> None:
    day = Day(Market.SPOT)
    Controller(day).back_up(FIRST_DAY)
    day.schedule, day.ec2.without_capacity = ONE, set(Market)
    for when in (NEXT_DAY, THIRD_DAY):
        controller = Controller(day)
        with pytest.raises(NoCapacity):
            controller.back_up(when)
        assert ran(controller)[-1] == (PRUNE, False)
    assert ours(day) == ["ec2zfs_2026-11-26T02:17:00Z_daily"]
    day.ec2.without_capacity = set()
    report = Controller(day).back_up(THIRD_DAY + timedelta(hours=1))
    assert [sent.base.partition("_")[0] for each in report.datasets for sent in each.sent] == ["ec2zfs"] * 3
    assert [name for name, _ in day.copied()["tank"]] == [
        "theirs",
        "ec2zfs_2026-11-24T02:17:00Z_daily",
        "ec2zfs_2026-11-26T02:17:00Z_daily",
    ]


def test_a_snapshot_with_a_clone_or_without_our_property_stays(day: Day) -> None:
    cloned, forged = "tank@ec2zfs_2026-11-24T02:17:00Z_daily", "ec2zfs_2026-11-23T02:17:00Z_daily"
    day.site.zfs.clone(cloned, "tank/try")
    day.site.zfs.find("tank").snapshots[0] = replace(day.site.zfs.find("tank").snapshots[0], name=forged)
    Controller(day).back_up(THIRD_DAY)
    assert ours(day) == [forged, "ec2zfs_2026-11-24T02:17:00Z_daily", "ec2zfs_2026-11-26T02:17:00Z_daily"]
    assert ours(day, "www") == ["ec2zfs_2026-11-26T02:17:00Z_daily"]


def test_killed_at_any_call_and_run_again_no_base_is_lost(day: Day) -> None:
    for death in deaths_of(day, lambda whole: whole.back_up(THIRD_DAY), at_least=15):
        world = death.world
        copied = world.copied()
        Controller(world).back_up(THIRD_DAY + timedelta(days=1))
        require_rest(world)
        newest = "ec2zfs_2026-11-27T02:17:00Z_daily"
        for name in ("tank", "tank/home", "www"):
            assert ours(world, name) == [newest]
            assert world.copied()[name][: len(copied[name])] == copied[name], "the copy goes on from where it was"
            assert world.copied()[name][-1] == world.histories()[name][-1]


def test_what_cannot_be_destroyed_is_told_and_the_run_is_whole(day: Day) -> None:
    def refuse(event: str) -> None:
        if event.startswith("site: before zfs destroy -vp tank@"):
            day.site.zfs.clone("tank@ec2zfs_2026-11-24T02:17:00Z_daily", "tank/just made")

    day.site.hook = refuse
    controller = Controller(day)
    controller.back_up(THIRD_DAY)
    assert not any(failed for _, failed in ran(controller))
    (warning,) = controller.journal.warnings
    assert "2 snapshots of tank could not be destroyed, ZFS said: cannot destroy" in warning


def test_a_failure_to_prune_is_the_runs_failure_when_all_else_was_well(day: Day) -> None:
    whole = Controller(day.copy())
    whole.back_up(THIRD_DAY)
    call = [stage for stage, _ in whole.cut.calls].index(PRUNE) + 1
    controller = Controller(day, Cut(call, failure=lambda name: CommandFailed(name, ("zfs",), 1, "I/O error")))
    with pytest.raises(CommandFailed, match="I/O error"):
        controller.back_up(THIRD_DAY)
    require_rest(day)
