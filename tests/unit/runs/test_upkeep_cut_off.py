"""A growth is killed at each of its calls in turn, in an imagined world, and the same command finishes it.

What it comes to is always the same: every volume is as wanted and a member, one was bought for each place where volumes
are replaced and none where they grow in place, none is orphaned, and those that were replaced are kept.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from tests.fakes.day import POOL_KEY, Controller, Day
from tests.fakes.pools import PAIR, SIX, ZONE
from tests.unit.runs.days import FIRST_DAY, deaths_of, machine_of, require_complete, unlocks

from ec2zfs.errors import CloudError, PoolUnwell, Refused
from ec2zfs.execute import scans
from ec2zfs.model.instance import Market
from ec2zfs.model.layout import Place
from ec2zfs.model.pool import PoolStatus
from ec2zfs.model.volume import Volume
from ec2zfs.plan.growth import Strategy
from ec2zfs.plan.replacement import Caution, Want
from ec2zfs.plan.volumes import CreateVolume, current
from ec2zfs.runs.addition import add_vdevs
from ec2zfs.runs.growth import Growth, grow
from ec2zfs.runs.repair import repair

WANT = Want(2, "gp3", ZONE)
CAREFUL = Caution(timedelta(days=7))


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = partial(scans.await_scan, pace=scans.Pace(sleep=lambda _: None))
    monkeypatch.setattr("ec2zfs.runs.upkeep.await_scan", quick)


def grown(way: Strategy, controller: Controller, caution: Caution = CAREFUL) -> Growth:
    """What the operator types; like a session it ends with leaving the receiver."""
    try:
        return grow(controller.upkeep(), WANT, way, caution, POOL_KEY, controller.journal)
    finally:
        controller.receiver.leave()


def require_grown(day: Day, way: Strategy) -> None:
    """Every current volume is as wanted and the one member of its place, and nothing was bought in vain."""
    volumes, kept = current(day.volumes.paid), [each for each in day.volumes.paid if each.retirement]
    assert {(each.size_gib, each.type) for each in volumes} == {(2, "gp3")}
    assert sorted(machine_of(day).members) == sorted(each.mapping for each in volumes)
    places = day.design.layout.volumes
    bought = places if way is Strategy.REPLACEMENT else 0
    assert day.volumes.made == places + bought == len(day.volumes.paid)
    assert [each.retirement is not None and each.retirement.since is not None for each in kept] == [True] * bought
    assert all(each.attachment is None for each in kept)


@pytest.mark.parametrize("off", [False, True], ids=["found as it was", "switched off meanwhile"])
@pytest.mark.parametrize("way", Strategy)
def test_killed_at_any_call_and_given_again_it_finishes(way: Strategy, off: bool) -> None:
    for death in deaths_of(Day(), partial(grown, way), at_least=15):
        day = death.world
        if off:
            day.dead_man_fires()
        grown(way, Controller(day))
        require_grown(day, way)
        assert (day.machine.imported == []) or not off


BOLD = replace(CAREFUL, accept_degraded=True)


@pytest.fixture(params=[PAIR], ids=str)
def full(request: pytest.FixtureRequest) -> Day:
    """The pool's volumes take all attachments that the receiver has."""
    day = Day(layout=request.param)
    day.volumes.limit = day.design.layout.volumes
    day.type = replace(day.type, attachments=day.volumes.limit + 2)
    return day


def test_a_pool_that_just_fits_is_backed_up(full: Day) -> None:
    Controller(full).back_up(FIRST_DAY)
    require_complete(full)


@pytest.mark.parametrize("full", [PAIR, SIX], ids=str, indirect=True)
def test_on_a_pool_that_just_fits_no_volume_leaves_early_unless_that_is_accepted(full: Day) -> None:
    before = list(full.volumes.paid)
    with pytest.raises(Refused, match=r"v1s1 would have to leave .* Nothing was changed\. .*\(--accept-degraded\)"):
        grown(Strategy.REPLACEMENT, Controller(full))
    assert full.volumes.paid == before
    grown(Strategy.REPLACEMENT, Controller(full), BOLD)
    require_grown(full, Strategy.REPLACEMENT)


@pytest.mark.parametrize("between", ["nothing", "switched off", "a daily run", "a repair"])
def test_on_a_pool_that_just_fits_it_may_be_killed_at_any_call_too(full: Day, between: str) -> None:
    work = partial(grown, Strategy.REPLACEMENT, caution=BOLD)
    for death in deaths_of(full, work, at_least=35):
        happened(death.world, between)
        work(Controller(death.world))
        require_grown(death.world, Strategy.REPLACEMENT)


def happened(day: Day, between: str) -> None:
    match between:
        case "switched off":
            day.dead_man_fires()
        case "a daily run":
            try:
                Controller(day).back_up(FIRST_DAY)
            except PoolUnwell:
                assert machine_of(day).zfs.health == "DEGRADED"
            assert day.copied() == day.histories()
        case "a repair":
            controller = Controller(day)
            repair(controller.upkeep(), WANT, BOLD, frozenset(), POOL_KEY, controller.journal)
            controller.receiver.leave()
            assert machine_of(day).zfs.health == "ONLINE"


def test_more_volumes_than_attachments_are_no_obstacle_to_the_daily_run(full: Day) -> None:
    """A newcomer was bought, and the old one hangs there still."""
    Controller(full).fleet.carry_out([CreateVolume("cloud", Place(1, 1), 2, 2, "gp3", ZONE)])

    Controller(full).back_up(FIRST_DAY)

    assert full.copied() == full.histories()
    assert machine_of(full).zfs.health == "ONLINE"


def test_a_vdev_more_is_killed_at_any_call_and_the_pool_opens_whole_all_the_same() -> None:
    before = Day()
    before.design = replace(before.design, layout=replace(PAIR, vdevs=2))
    for death in deaths_of(before, added, at_least=12):
        day = death.world
        day.dead_man_fires()
        assert unlocks(day)
        assert len(added(Controller(day)).vdevs) == 2
        assert unlocks(day)
        assert day.volumes.made == 4


def test_a_vdev_more_leaves_an_attachment_free_as_a_new_pool_does(full: Day) -> None:
    full.design = replace(full.design, layout=replace(PAIR, vdevs=2))
    full.type = replace(full.type, attachments=4 + 2)
    with pytest.raises(
        Refused, match=r"A pool of 4 volumes does not fit on a .*: it takes 3\. .* kept for a replacement"
    ):
        added(Controller(full))
    assert full.volumes.made == 2


def added(controller: Controller) -> PoolStatus:
    try:
        return add_vdevs(controller.upkeep(), replace(WANT, size_gib=1), POOL_KEY, controller.journal)
    finally:
        controller.receiver.leave()


@pytest.mark.parametrize(("generation", "opens"), [(1, False), (2, True)], ids=["a member", "a newcomer"])
def test_what_ec2_gave_up_counts_if_it_was_a_member(generation: int, opens: bool) -> None:
    day = Day(Market.SPOT)
    Controller(day).fleet.carry_out([CreateVolume("cloud", Place(1, 1), 2, 2, "gp3", ZONE)])
    day.volumes.break_volume(day.volumes.paid[generation - 1].id)
    assert unlocks(day) is opens
    assert unlocks(day, accept_degraded=True)


@pytest.mark.parametrize("spare", [0, 1])
def test_a_volume_that_hangs_in_attaching_is_replaced_without_it(spare: int) -> None:
    day = Day(Market.SPOT)
    day.volumes.limit = PAIR.volumes + spare
    day.type = replace(day.type, attachments=day.volumes.limit + 2)
    bad = day.volumes.paid[0]
    day.volumes.hang_attach(bad.id, times=99)
    with pytest.raises(CloudError, match=rf"hangs in attaching, .*`ec2zfs pool repair --replace {bad.id}`"):
        Controller(day).back_up(FIRST_DAY)

    assert replaced(day, bad).healthy

    assert machine_of(day).members == ("cloud-v1s1-g2", "cloud-v1s2-g1")
    assert [each.attachment for each in day.volumes.paid if each.id == bad.id] == [None]


def test_a_volume_that_can_be_attached_serves_until_its_successor_has_all(monkeypatch: pytest.MonkeyPatch) -> None:
    day = Day(Market.SPOT)
    zfs, imported = machine_of(day).zfs, list[set[str]]()
    load = zfs.load

    def noted(usable: set[str]) -> None:
        imported.append(usable)
        load(usable)

    monkeypatch.setattr(zfs, "load", noted)

    assert replaced(day, day.volumes.paid[0]).healthy

    assert imported == [{"cloud-v1s1-g1", "cloud-v1s2-g1"}]


def replaced(day: Day, volume: Volume) -> PoolStatus:
    controller = Controller(day)
    try:
        return repair(
            controller.upkeep(),
            replace(WANT, size_gib=1),
            CAREFUL,
            frozenset({volume.id}),
            POOL_KEY,
            controller.journal,
        )
    finally:
        controller.receiver.leave()


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
