"""Replacement in rounds: its steps, what it refuses, and what holds whatever cuts it off or fails meanwhile."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import sweep
from tests.fakes.pools import SIX, ZONE, volume
from tests.fakes.simulated import Cut, Simulated, cuts, pools
from tests.fakes.standing import FORTY, NOW, at, broken, failed, standing, with_member, with_pool

from ec2zfs.errors import PoolUnwell, Refused
from ec2zfs.model.layout import Layout, Redundancy
from ec2zfs.model.pool import DeviceState
from ec2zfs.model.scan import Scan, ScanFunction, ScanState
from ec2zfs.model.standing import Standing
from ec2zfs.model.volume import Retirement
from ec2zfs.plan.replacement import Caution, Want, plan_replacement, redundancy_left, rounds, width
from ec2zfs.plan.simulation import after, foreseen
from ec2zfs.plan.upkeep import AwaitScan, OfflineMember, ReplaceMember, Step
from ec2zfs.plan.volumes import CreateVolume

WANT = Want(4, "gp3", ZONE)
CAREFUL = Caution(timedelta(days=7))
BOLD = replace(CAREFUL, accept_degraded=True)
WIDE = Layout(Redundancy.RAIDZ2, 2, 4, 1)


def plan(stands: Standing, caution: Caution = CAREFUL) -> Step:
    return plan_replacement(WANT, stands, caution)


def lacking(stands: Standing) -> int:
    return sum(bool(WANT.lack(each)) for each in stands.current)


def words(steps: tuple[Step, ...]) -> list[str]:
    """What the actions say, without ids and devices."""
    said = [re.sub(r" \((yet|vol-)[^)]*\)| (to|from) i-.*", "", str(action)) for step in steps for action in step]
    return [each.partition(" with LUKS2")[0] for each in said]


def test_the_steps_of_a_round_in_their_order() -> None:
    steps, _ = foreseen(plan, standing(Layout(Redundancy.MIRROR, 1, 2, 1), spare=2))

    assert words(steps[: len(steps) // 2]) == [
        "create volume cloud-v1s1-g2: 4 GiB gp3 in eu-central-1a",
        "attach volume cloud-v1s1-g2",
        "format cloud-v1s1-g2",
        "open cloud-v1s1-g2",
        "replace cloud-v1s1-g1 with cloud-v1s1-g2",
        "wait until the resilver has ended",
        "close cloud-v1s1-g1",
        "detach volume cloud-v1s1-g1",
        "keep volume cloud-v1s1-g1 aside, out of a healthy pool since 2026-11-25 02:17 UTC",
    ]


def test_without_a_free_attachment_the_old_volume_leaves_first() -> None:
    steps, _ = foreseen(lambda stands: plan(stands, BOLD), standing(Layout(Redundancy.MIRROR, 1, 2, 1), spare=0))

    assert words(steps[: len(steps) // 2]) == [
        "create volume cloud-v1s1-g2: 4 GiB gp3 in eu-central-1a",
        "take cloud-v1s1-g1 offline",
        "close cloud-v1s1-g1",
        "detach volume cloud-v1s1-g1",
        "keep volume cloud-v1s1-g1 aside",
        "attach volume cloud-v1s1-g2",
        "format cloud-v1s1-g2",
        "open cloud-v1s1-g2",
        "replace cloud-v1s1-g1 with cloud-v1s1-g2",
        "wait until the resilver has ended",
        "keep volume cloud-v1s1-g1 aside, out of a healthy pool since 2026-11-25 02:17 UTC",
    ]


def test_forty_volumes_are_replaced_in_eight_rounds() -> None:
    world = Simulated(standing(FORTY, spare=6))
    assert rounds(WANT, world.stands) == 8

    world.finish(plan)

    assert (world.batches, world.count(CreateVolume)) == (8, 40)


@pytest.mark.parametrize(("spare", "side_by_side"), [(0, 0), (1, 1), (2, 1), (3, 2), (6, 5), (9, 5)])
def test_how_many_are_replaced_side_by_side(spare: int, side_by_side: int) -> None:
    assert width(standing(FORTY, spare=spare)) == side_by_side


def scrubbed(*, age: timedelta, **scan: object) -> Standing:
    made = Scan(ScanFunction.SCRUB, ScanState.FINISHED, NOW - age)
    return with_pool(standing(scrubbed=None), scan=replace(made, **scan))  # type: ignore[arg-type]


NOTE = ["note that the scrub of 2026-11-24 02:17 UTC found the pool clean"]
SCRUB = ["scrub the pool", "wait until the scrub has ended"]


@pytest.mark.parametrize(
    ("stands", "first"),
    [
        (standing(scrubbed=None), SCRUB),
        (standing(scrubbed=NOW - timedelta(days=8)), SCRUB),
        (scrubbed(age=timedelta(days=8)), SCRUB),
        (scrubbed(age=timedelta(days=1)), NOTE),
        (scrubbed(age=timedelta(0), state=ScanState.RUNNING), SCRUB[1:]),
        (scrubbed(age=timedelta(0), state=ScanState.PAUSED), SCRUB),
        (scrubbed(age=timedelta(0), state=ScanState.CANCELED), SCRUB),
        (scrubbed(age=timedelta(0), function=ScanFunction.RESILVER), SCRUB),
    ],
)
def test_a_scrub_that_is_young_enough_comes_first(stands: Standing, first: list[str]) -> None:
    assert words((plan(stands),)) == first


def with_errors() -> Standing:
    stands = standing()
    return with_member(stands, stands.pool.members[1], checksum_errors=3)


def new_one_failed() -> Standing:
    """One of two replacements under way has lost its new volume."""
    world = Simulated(standing(spare=3))
    world.resilvers(plan)
    return broken(world.stands, next(each for each in world.stands.current if each.generation == 2))


@pytest.mark.parametrize(
    ("stands", "sentence"),
    [
        (scrubbed(age=timedelta(days=1), errors=2), "The last scrub of pool cloud left 2 errors"),
        (failed(standing(), "v2s3"), "Pool cloud is not well: v2s3 is FAULTED"),
        (with_errors(), "Pool cloud is not well: v1s2 is ONLINE with 3 errors"),
        (with_pool(standing(), errors="2 data errors, use '-v' for a list"), "is not well: 2 data errors"),
        (new_one_failed(), "What was to replace a volume of pool cloud failed: v1s1 is FAULTED"),
    ],
)
def test_nothing_is_begun_or_carried_on_on_a_pool_that_is_not_well(stands: Standing, sentence: str) -> None:
    with pytest.raises(PoolUnwell, match=sentence) as caught:
        plan(stands)

    assert "ec2zfs pool repair" in caught.value.hint


def test_what_is_at_risk_is_said_where_the_old_volume_would_have_to_leave() -> None:
    with pytest.raises(Refused, match=r"raidz1-0 would have no redundancy .* would lose the pool") as caught:
        plan(standing(spare=0))

    assert "--accept-degraded" in caught.value.hint


def test_raidz2_spares_one_volume_at_a_time_without_leave() -> None:
    world = Simulated(standing(WIDE, spare=0), old_first=True)

    world.finish(plan)

    assert (world.batches, world.count(OfflineMember)) == (8, 8)
    world.require_whole()


def test_not_even_with_leave_is_the_last_redundancy_of_a_degraded_vdev_taken() -> None:
    stands = failed(standing(spare=0), "v1s2")
    new = volume("v1s1", 2, size_gib=4)

    with pytest.raises(PoolUnwell, match="v1s2 is FAULTED"):
        plan(replace(stands, volumes=(*stands.volumes, new)), BOLD)


def test_no_attachment_is_taken_that_is_not_there() -> None:
    """Somebody has attached two volumes that are only kept, to look at them."""
    stands = standing(spare=2)
    kept = [replace(each, generation=9, id=f"{each.id}9", retirement=Retirement(NOW)) for each in stands.volumes[:2]]

    with pytest.raises(Refused, match="No attachment of the receiver is free for a new volume: 2 hang there"):
        foreseen(plan, replace(stands, volumes=(*stands.volumes, *kept)))


@pytest.mark.parametrize(
    ("layout", "bad", "left"),
    [(SIX, [], 1), (SIX, ["v1s1"], 0), (WIDE, ["v1s2"], 1), (Layout(Redundancy.MIRROR, 1, 3, 1), ["v1s1"], 1)],
)
def test_how_many_more_may_fail(layout: Layout, bad: list[str], left: int) -> None:
    stands = standing(layout)
    for place in bad:
        stands = failed(stands, place)
    assert redundancy_left(stands.pool.vdevs[0]) == left


def test_what_is_still_resilvered_is_no_redundancy() -> None:
    stands = standing()
    stands = after(stands, OfflineMember(at(stands, "v1s1")[0]))
    new = replace(at(stands, "v1s1")[1], generation=2)
    stands = after(stands, ReplaceMember(at(stands, "v1s1")[0], new, f"/dev/mapper/{new.mapping}"))

    assert redundancy_left(stands.pool.vdevs[0]) == 0
    assert redundancy_left(after(stands, AwaitScan(ScanFunction.RESILVER)).pool.vdevs[0]) == 1


@settings(max_examples=sweep.examples(60), deadline=None, derandomize=True)
@given(pools(), cuts())
def test_whatever_cuts_it_off_the_same_command_finishes(stands: Standing, where: list[Cut]) -> None:
    world = Simulated(stands, iter(where))

    world.finish(plan)

    assert world.count(CreateVolume) == lacking(stands)
    assert lacking(world.stands) == 0
    world.require_whole()


@settings(max_examples=sweep.examples(30), deadline=None, derandomize=True)
@given(pools())
def test_as_many_rounds_as_were_foretold(stands: Standing) -> None:
    world = Simulated(stands)
    in_vdev = [[each for each in stands.current if each.place.vdev == vdev] for vdev, _ in stands.vdevs()]
    assert rounds(WANT, stands) >= max(sum(bool(WANT.lack(each)) for each in found) for found in in_vdev)

    world.finish(plan)

    assert world.batches == rounds(WANT, stands)


@settings(max_examples=sweep.examples(40), deadline=None, derandomize=True)
@given(pools(least_spare=0), cuts())
def test_with_no_attachment_free_one_vdev_at_a_time(stands: Standing, where: list[Cut]) -> None:
    stands = replace(stands, spare_attachments=0)
    world = Simulated(stands, iter(where), old_first=True)

    world.finish(lambda now: plan(now, BOLD))

    assert world.count(CreateVolume) == lacking(stands)
    world.require_whole()


@settings(max_examples=sweep.examples(60), deadline=None, derandomize=True)
@given(pools(), cuts(), st.lists(st.integers(0, 60), min_size=1, max_size=3), st.data())
def test_new_volumes_that_fail_are_made_anew(
    stands: Standing, where: list[Cut], moments: list[int], data: st.DataObject
) -> None:
    """One fails on its way into the pool, or when it is a member already: then the pool is repaired first."""
    world = Simulated(stands, iter(where))
    failures = 0

    def planned(now: Standing) -> Step:
        nonlocal failures
        new = [each for each in now.current if each.id.startswith("yet") and _is_on_its_way(now, each.id)]
        if new and len(world.done) >= moments[min(failures, len(moments) - 1)] and failures < len(moments):
            failures += 1
            world.happens(broken(now, data.draw(st.sampled_from(new))))
        return plan(world.stands)

    _finish(world, planned)

    assert world.count(CreateVolume) == lacking(stands) + failures
    world.require_whole()


@settings(max_examples=sweep.examples(30), deadline=None, derandomize=True)
@given(pools(), cuts(), st.integers(0, 80), st.data())
def test_a_second_failure_stops_at_once(stands: Standing, where: list[Cut], moment: int, data: st.DataObject) -> None:
    """An old member that nobody is replacing fails in the middle; repair mends it, and the same command finishes."""
    world = Simulated(stands, iter(where))
    while len(world.done) < moment and (step := plan(world.stands)):
        world.carry_out(step)
    steady = [each for each in stands.pool.members if _is_untouched(world.stands, each.name)]
    if not steady:
        return
    victim = data.draw(st.sampled_from(steady))
    world.happens(with_member(world.stands, victim, state=data.draw(st.sampled_from(LOST))))

    with pytest.raises(PoolUnwell):
        plan(world.stands)

    _finish(world, plan)
    assert world.count(CreateVolume) == lacking(stands)
    world.require_whole()


LOST = [DeviceState.FAULTED, DeviceState.UNAVAIL, DeviceState.REMOVED]


def _finish(world: Simulated, planned: Callable[[Standing], Step]) -> None:
    """Give the command; when the pool is not well repair it, and give it again."""
    for _ in range(20):
        try:
            world.finish(planned)
        except PoolUnwell:
            world.repair(replace(WANT, size_gib=1), CAREFUL)
        else:
            return
    raise AssertionError("it is never well")


def _is_on_its_way(now: Standing, which: str) -> bool:
    volume = next(each for each in now.current if each.id == which)
    member = now.member(volume)
    return member is None or member.replacing


def _is_untouched(now: Standing, name: str) -> bool:
    """A member of before that is there still, with no other volume at its place."""
    found = next((each for each in now.pool.members if each.name == name), None)
    place = now.place_of(found) if found else None
    return place is not None and len(now.at(place)) == 1
