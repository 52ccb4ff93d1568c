"""Which way a pool grows, and growth in place: each volume modified once, and none that EC2 takes only later."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import sweep
from tests.fakes.pools import ZONE
from tests.fakes.simulated import Simulated, pools
from tests.fakes.standing import NOW, at, failed, standing, with_volume

from ec2zfs.errors import PoolUnwell, Refused
from ec2zfs.model.standing import Standing
from ec2zfs.model.volume import Schedule
from ec2zfs.plan.growth import Strategy, choose, plan_due, plan_growth, plan_in_place, scheduled
from ec2zfs.plan.replacement import Caution, Want
from ec2zfs.plan.simulation import after, foreseen
from ec2zfs.plan.volumes import CreateVolume, ModifyVolume

WANT = Want(4, "gp3", ZONE)
CAREFUL = Caution(timedelta(days=7))
LATER = Schedule(4, NOW + timedelta(hours=6))
DUE = Schedule(3, NOW)


def begun() -> Standing:
    """A replacement has begun: one new volume exists."""
    return after(standing(), CreateVolume("cloud", at(standing(), "v1s1")[1].place, 2, 4, "gp3", ZONE))


def of_type(kind: str) -> Standing:
    return with_volume(standing(), at(standing(), "v1s1")[1], type=kind)


@pytest.mark.parametrize(
    ("stands", "forced", "said"),
    [
        (standing(), None, "in-place: EC2 enlarges the volumes under the pool"),
        (standing(), Strategy.REPLACEMENT, "replacement: it was asked for"),
        (of_type("gp2"), None, "in-place: EC2 enlarges the volumes under the pool"),
        (of_type("standard"), None, "replacement: a volume of type standard cannot be changed in place"),
        (begun(), None, "replacement: replacements are under way already"),
        (begun(), Strategy.IN_PLACE, "in-place: it was asked for"),
    ],
)
def test_the_way_that_is_taken(stands: Standing, forced: Strategy | None, said: str) -> None:
    assert str(choose(WANT, stands, forced)).startswith(said)


@pytest.mark.parametrize(
    ("want", "stands", "forced", "sentence"),
    [
        (replace(WANT, size_gib=65_537), standing(), None, "A volume of type gp3 has 1 to 65536 GiB, not 65537"),
        (Want(16_385, "gp2", ZONE), standing(), None, "A volume of type gp2 has 1 to 16384 GiB, not 16385"),
        (Want(100, "st1", ZONE), standing(), None, "A volume of type st1 has 125 to 16384 GiB, not 100"),
        (
            WANT,
            with_volume(standing(), at(standing(), "v2s3")[1], size_gib=5),
            None,
            "v2s3 .* has 5 GiB, more than 4; a volume never shrinks",
        ),
        (WANT, of_type("standard"), Strategy.IN_PLACE, "Volumes of type standard cannot be changed in place: v1s1"),
    ],
)
def test_what_is_refused(want: Want, stands: Standing, forced: Strategy | None, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        plan_growth(want, forced, CAREFUL, stands)


def test_a_pool_that_is_not_healthy_does_not_grow() -> None:
    with pytest.raises(PoolUnwell, match="is not healthy, and is not grown now"):
        plan_in_place(WANT, failed(standing(), "v1s1"))


def test_another_type_at_the_same_size_is_growth_in_place_too() -> None:
    (step,), grown = foreseen(lambda stands: plan_in_place(Want(1, "gp2", ZONE), stands), standing())

    assert len(step) == 6
    assert {(each.size_gib, each.type) for each in grown.current} == {(1, "gp2")}


@pytest.mark.parametrize(
    ("schedules", "due"),
    [([], []), ([LATER], []), ([DUE], ["v1s1: 3"]), ([DUE, LATER, replace(DUE, size_gib=9)], ["v1s1: 3", "v1s3: 9"])],
)
def test_what_ec2_takes_now_of_what_it_refused_earlier(schedules: list[Schedule], due: list[str]) -> None:
    stands = standing()
    for volume, schedule in zip(stands.volumes, schedules, strict=False):
        stands = with_volume(stands, volume, schedule=schedule)

    step = plan_due(stands)

    assert [f"{each.volume.place}: {each.size_gib}" for each in step if isinstance(each, ModifyVolume)] == due
    for action in step:
        stands = after(stands, action)
    assert plan_due(stands) == ()


@settings(max_examples=sweep.examples(60), deadline=None, derandomize=True)
@given(pools(), st.lists(st.tuples(st.integers(0, 47), st.sampled_from([LATER, DUE])), max_size=6), st.integers(0, 47))
def test_each_volume_is_modified_once_and_none_that_is_to_be_later(
    stands: Standing, schedules: list[tuple[int, Schedule]], killed: int
) -> None:
    for number, schedule in schedules:
        stands = with_volume(stands, stands.volumes[number % len(stands.volumes)], schedule=schedule)
    waiting = {each.id for each in scheduled(WANT, stands)}
    lacking = [each.id for each in stands.current if WANT.lack(each)]
    world = Simulated(stands, iter([(killed, True)]))

    world.finish(lambda now: plan_in_place(WANT, now))

    modified = [action.volume.id for action in world.done if isinstance(action, ModifyVolume)]
    assert sorted(modified) == sorted(each for each in lacking if each not in waiting)
    assert {each.id for each in world.stands.current if WANT.lack(each)} == waiting
