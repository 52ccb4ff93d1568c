"""One more vdev: of the pool's own shape or none at all, and nothing bought twice whatever cuts it off."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import sweep
from tests.fakes.pools import SIX, ZONE, design
from tests.fakes.simulated import Cut, Simulated, cuts, layouts
from tests.fakes.standing import broken, failed, standing

from ec2zfs.errors import PoolUnwell, Refused
from ec2zfs.model.layout import Layout, Redundancy
from ec2zfs.model.standing import Standing
from ec2zfs.plan.addition import plan_addition
from ec2zfs.plan.replacement import Want
from ec2zfs.plan.simulation import foreseen
from ec2zfs.plan.upkeep import AddVdev, Step
from ec2zfs.plan.volumes import CreateVolume

WANT = Want(2, "gp3", ZONE)


def plan(stands: Standing) -> Step:
    return plan_addition(WANT, stands)


def asked(stands: Standing, **shape: object) -> Standing:
    """The same pool with another layout in the configuration."""
    layout = replace(stands.design.layout, **shape)  # type: ignore[arg-type]
    return replace(stands, design=design(layout, encrypted=stands.design.encrypted))


def test_the_steps_of_an_addition() -> None:
    steps, after = foreseen(plan, asked(standing(), vdevs=3))

    assert [len(step) for step in steps] == [3, 3, 6, 1]
    assert str(steps[-1][0]) == "add vdev 3: raidz1 of 3"
    assert [str(place) for place in after.places(after.pool.vdevs[2])] == ["v3s1", "v3s2", "v3s3"]


def test_a_pool_that_has_its_vdevs_gets_none() -> None:
    assert plan(standing()) == ()


@pytest.mark.parametrize(
    ("stands", "error", "sentence"),
    [
        (asked(standing(), vdevs=3, redundancy=Redundancy.MIRROR), Refused, "would be the weak one"),
        (asked(standing(), vdevs=3, redundancy=Redundancy.RAIDZ2), Refused, "raidz1 of 3, and the configuration says"),
        (asked(standing(), vdevs=3, volumes_per_vdev=4), Refused, "raidz1 of 4: a vdev of another shape"),
        (asked(standing(), vdevs=1), Refused, "has 2 vdevs, and the configuration says 1"),
        (failed(asked(standing(), vdevs=3), "v1s1"), PoolUnwell, "is not healthy, and gets no vdev now"),
    ],
)
def test_what_is_refused(stands: Standing, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        plan(stands)


def test_a_new_volume_that_fails_is_made_anew() -> None:
    world = Simulated(asked(standing(), vdevs=3))
    world.carry_out(plan(world.stands))
    world.happens(broken(world.stands, world.stands.current[-1]))

    world.finish(plan)

    assert world.count(CreateVolume) == 4
    world.require_whole()


@settings(max_examples=sweep.examples(50), deadline=None, derandomize=True)
@given(layouts(), st.integers(1, 2), st.booleans(), cuts())
def test_whatever_cuts_it_off_the_same_command_finishes(
    layout: Layout, more: int, encrypted: bool, where: list[Cut]
) -> None:
    layout = replace(layout, vdevs=min(layout.vdevs, 5))
    stands = asked(standing(layout, encrypted=encrypted), vdevs=layout.vdevs + more)
    world = Simulated(stands, iter(where))

    world.finish(plan)

    assert world.count(CreateVolume) == more * layout.volumes_per_vdev
    shapes = {(vdev.kind, len(vdev.members)) for vdev in world.stands.pool.vdevs}
    assert shapes == {(layout.redundancy.value, layout.volumes_per_vdev)}
    assert len(world.stands.pool.vdevs) == layout.vdevs + more
    world.require_whole()


@settings(max_examples=sweep.examples(100), deadline=None, derandomize=True)
@given(layouts(), layouts())
def test_no_vdev_of_another_shape_is_ever_added(made: Layout, wanted: Layout) -> None:
    stands = asked(
        standing(made), redundancy=wanted.redundancy, volumes_per_vdev=wanted.volumes_per_vdev, vdevs=made.vdevs + 1
    )
    same = (made.redundancy, made.volumes_per_vdev) == (wanted.redundancy, wanted.volumes_per_vdev)
    try:
        steps, _ = foreseen(plan, stands)
    except Refused:
        assert not same
    else:
        assert same
        assert [action.kind for action in steps[-1] if isinstance(action, AddVdev)] == [made.redundancy.value]


def test_what_was_bought_for_a_smaller_size_is_not_taken() -> None:
    world = Simulated(asked(standing(SIX), vdevs=3))
    world.carry_out(plan(world.stands))

    world.finish(lambda stands: plan_addition(replace(WANT, size_gib=5), stands))

    assert {each.size_gib for each in world.stands.current if each.place.vdev == 3} == {5}
    world.require_whole()
