"""A growth is killed at each of its calls in turn, in an imagined world, and the same command finishes it.

What it comes to is always the same: every volume is as wanted and a member, one was bought for each place where volumes
are replaced and none where they grow in place, none is orphaned, and those that were replaced are kept.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from tests.fakes.day import POOL_KEY, Controller, Cut, Day
from tests.fakes.fuse import Killed, Moment
from tests.fakes.pools import PAIR, ZONE
from tests.unit.runs.days import machine_of, runs_of

from ec2zfs.execute import scans
from ec2zfs.plan.growth import Strategy
from ec2zfs.plan.replacement import Caution, Want
from ec2zfs.plan.volumes import current
from ec2zfs.runs.growth import Growth, grow

WANT = Want(2, "gp3", ZONE)
CAREFUL = Caution(timedelta(days=7))


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = partial(scans.await_scan, pace=scans.Pace(sleep=lambda _: None))
    monkeypatch.setattr("ec2zfs.runs.upkeep.await_scan", quick)


def grown(way: Strategy, controller: Controller) -> Growth:
    """What the operator types; like a session it ends with leaving the receiver."""
    try:
        return grow(controller.upkeep(), WANT, way, CAREFUL, POOL_KEY, controller.journal)
    finally:
        controller.receiver.leave()


def require_grown(day: Day, way: Strategy) -> None:
    """Every current volume is as wanted and the one member of its place, and nothing was bought in vain."""
    volumes, kept = current(day.volumes.paid), [each for each in day.volumes.paid if each.retirement]
    assert {(each.size_gib, each.type) for each in volumes} == {(2, "gp3")}
    assert sorted(machine_of(day).members) == sorted(each.mapping for each in volumes)
    bought = PAIR.volumes if way is Strategy.REPLACEMENT else 0
    assert day.volumes.made == PAIR.volumes + bought == len(day.volumes.paid)
    assert [each.retirement is not None and each.retirement.since is not None for each in kept] == [True] * bought
    assert all(each.attachment is None for each in kept)


@pytest.mark.parametrize("off", [False, True], ids=["found as it was", "switched off meanwhile"])
@pytest.mark.parametrize("way", Strategy)
def test_killed_at_any_call_and_given_again_it_finishes(way: Strategy, off: bool) -> None:
    tried = 0
    for day, dying in runs_of(Day(), partial(Cut, moment=Moment.AFTER), work=partial(grown, way)):
        with pytest.raises(Killed):
            grown(way, dying)
        if off:
            day.dead_man_fires()
        grown(way, Controller(day))
        require_grown(day, way)
        assert (day.machine.imported == []) or not off
        tried += 1
    assert tried > 40


def test_what_was_replaced_is_deleted_by_the_daily_run_after_its_grace_time_and_not_before() -> None:
    day = Day()
    grown(Strategy.REPLACEMENT, Controller(day))
    replaced = {each.id for each in day.volumes.paid if each.retirement}
    for age, left in ((timedelta(days=6), replaced), (timedelta(days=8), set[str]())):
        controller = Controller(day)
        began = controller.journal.now
        controller.journal = replace(controller.journal, now=lambda age=age, began=began: began() + age)  # type: ignore[misc]
        controller.back_up(began() + age)
        assert {each.id for each in day.volumes.paid if each.retirement} == left
    assert len(day.volumes.paid) == PAIR.volumes
