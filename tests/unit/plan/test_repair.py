"""Repair: what comes back, what is replaced, and that every pool that has its data comes to full redundancy again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import sweep
from tests.fakes.pools import SIX, ZONE
from tests.fakes.simulated import Cut, Simulated, cuts, pools
from tests.fakes.standing import at, broken, failed, standing, vanished, with_member, with_pool, with_volume

from ec2zfs.errors import Refused
from ec2zfs.model.contents import OpenMapping
from ec2zfs.model.layout import Layout, Place, Redundancy
from ec2zfs.model.pool import DeviceState
from ec2zfs.model.standing import Standing
from ec2zfs.model.volume import VolumeState
from ec2zfs.plan.repair import Mending, plan_repair
from ec2zfs.plan.replacement import Caution, Want, plan_replacement
from ec2zfs.plan.simulation import after
from ec2zfs.plan.upkeep import AwaitScan, ClearErrors, DropMember, ReopenMember, ReplaceMember, StartScan, Step
from ec2zfs.plan.volumes import AttachVolume, CreateVolume, DetachVolume

WANT = Want(1, "gp3", ZONE)
CAREFUL = Caution(timedelta(days=7))
STATES = [DeviceState.FAULTED, DeviceState.UNAVAIL, DeviceState.REMOVED, DeviceState.OFFLINE, DeviceState.DEGRADED]


def plan(stands: Standing, **mending: frozenset[str]) -> Step:
    return plan_repair(WANT, stands, CAREFUL, Mending(**mending))


def detached(stands: Standing, place: str) -> Standing:
    """The volume was taken off by force: ZFS has lost the member, and its mapping stands on nothing."""
    stands = failed(stands, place, DeviceState.REMOVED)
    return with_volume(stands, at(stands, place)[1], attachment=None, state=VolumeState.AVAILABLE)


def pulled(stands: Standing, place: str) -> Standing:
    """Taken off by force and attached again, before ZFS has missed it."""
    name = at(stands, place)[1].mapping
    opened = [replace(each, stale=each.name == name) for each in stands.view.opened]
    return stands.seeing(replace(stands.view, opened=tuple(opened)))


def counted(stands: Standing, place: str) -> Standing:
    return with_member(stands, at(stands, place)[0], checksum_errors=2)


def kinds(step: Step) -> list[type]:
    return [type(action) for action in step]


@pytest.mark.parametrize(
    ("stands", "step"),
    [
        (standing(), []),
        (failed(standing(), "v1s2"), [ReopenMember]),
        (failed(standing(encrypted=False), "v1s2"), [ReopenMember]),
        (pulled(standing(), "v1s2"), [ReopenMember]),
        (detached(standing(), "v1s2"), [AttachVolume]),
        (failed(failed(standing(), "v1s2"), "v2s1"), [ReopenMember, ReopenMember]),
        (vanished(standing(), "v1s2"), [CreateVolume, AttachVolume]),
        (vanished(standing(encrypted=False), "v1s2"), [CreateVolume, AttachVolume]),
        (broken(standing(), at(standing(), "v1s2")[1]), [CreateVolume, AttachVolume]),
        (counted(standing(), "v1s2"), [ClearErrors, StartScan, AwaitScan]),
    ],
)
def test_the_first_step(stands: Standing, step: list[type]) -> None:
    assert kinds(plan(stands)) == step


def test_a_member_that_was_brought_back_in_vain_is_replaced() -> None:
    stands = failed(standing(), "v1s2")
    tried = frozenset({at(stands, "v1s2")[1].id})

    assert [str(action) for action in plan(stands, tried=tried)] == [
        "create volume cloud-v1s2-g2: 1 GiB gp3 in eu-central-1a",
        "attach volume cloud-v1s2-g2 to i-0123456789abcdef0 as /dev/sdl",
    ]


def test_a_condemned_volume_is_replaced_in_good_health() -> None:
    stands = standing()
    world = Simulated(stands)

    world.repair(WANT, CAREFUL, frozenset({at(stands, "v2s2")[1].id}))

    assert [str(each.place) for each in world.stands.current if each.generation == 2] == ["v2s2"]
    world.require_whole()


def test_a_new_volume_is_as_large_as_the_largest_of_its_vdev() -> None:
    stands = standing()
    stands = vanished(with_volume(stands, at(stands, "v1s1")[1], size_gib=3), "v1s2")

    assert [action.size_gib for action in plan(stands) if isinstance(action, CreateVolume)] == [3]


def test_a_replacement_that_failed_is_given_up_before_another_is_made() -> None:
    world = Simulated(failed(standing(), "v1s2"), dead={at(standing(), "v1s2")[1].id})
    tried = frozenset(world.dead)
    world.resilvers(partial(plan, tried=tried))
    new = next(each for each in world.stands.current if each.generation == 2)
    world.happens(broken(world.stands, new))

    assert kinds(plan(world.stands, tried=tried))[0] is DropMember
    world.repair(WANT, CAREFUL)

    assert world.count(CreateVolume) == 2
    world.require_whole()


def test_a_volume_does_not_leave_where_data_would_go_with_it() -> None:
    stands = failed(standing(spare=0), "v1s2")
    tried = frozenset({at(stands, "v1s2")[1].id})
    doomed = frozenset({at(stands, "v1s1")[1].id})
    bold = replace(CAREFUL, accept_degraded=True)
    world = Simulated(stands, old_first=True, dead=set(tried))

    world.finish(lambda now: plan_repair(WANT, now, bold, Mending(tried, doomed)))

    assert [str(action.volume.place) for action in world.done if isinstance(action, ReplaceMember)] == ["v1s2", "v1s1"]
    world.require_whole()


def test_a_good_volume_leaves_first_with_leave_only() -> None:
    stands = standing(spare=0)
    doomed = frozenset({at(stands, "v1s1")[1].id})
    new = Simulated(stands)
    new.carry_out(plan(stands, condemned=doomed))

    with pytest.raises(Refused, match="No attachment of the receiver is free"):
        plan(new.stands, condemned=doomed)


def test_damaged_data_ends_the_repair_and_does_not_stop_it() -> None:
    world = Simulated(vanished(with_pool(standing(), errors="1 data errors"), "v1s2"))

    world.repair(WANT, CAREFUL)

    assert not world.stands.pool.undamaged
    assert all(member.sound for member in world.stands.pool.members)
    assert world.count(DetachVolume) == 0


def test_one_attachment_is_enough_for_many_dead_volumes_that_still_hang_there() -> None:
    stands = standing(Layout(Redundancy.RAIDZ3, 1, 6, 1), spare=1)
    dead = {at(stands, place)[1].id for place in ("v1s1", "v1s3", "v1s4")}
    for place in ("v1s1", "v1s3", "v1s4"):
        stands = failed(stands, place)
    world = Simulated(stands, dead=dead)

    world.repair(WANT, CAREFUL)

    assert (world.count(CreateVolume), world.batches) == (3, 3)
    world.require_whole()


def test_two_bare_volumes_that_are_gone_stand_where_no_others_do() -> None:
    stands = standing(Layout(Redundancy.RAIDZ2, 1, 4, 1), encrypted=False)
    stands = vanished(vanished(stands, "v1s2", guid="11"), "v1s4", guid="12")

    assert [str(action.place) for action in plan(stands) if isinstance(action, CreateVolume)] == ["v1s2", "v1s4"]


@st.composite
def ailing(draw: st.DrawFn, *, least_spare: int = 1) -> tuple[Standing, set[str], int]:
    """A pool that has lost as much as it can bear or less; the volumes that never come back, and how many are lost."""
    stands = draw(pools(least_spare=least_spare))
    dead: set[str] = set()
    lost = 0
    layout = stands.design.layout
    bearable = layout.redundancy.parity or layout.volumes_per_vdev - 1
    for vdev in range(1, layout.vdevs + 1):
        slots = draw(st.lists(st.integers(1, layout.volumes_per_vdev), max_size=min(bearable, 3), unique=True))
        for slot in slots:
            place = str(Place(vdev, slot))
            failure = draw(st.sampled_from(["transient", "dead", "vanished", "broken", "detached", "pulled", "errors"]))
            volume = at(stands, place)[1]
            match failure:
                case "transient":
                    stands = failed(stands, place, draw(st.sampled_from(STATES)))
                case "dead":
                    stands = failed(stands, place, draw(st.sampled_from(STATES)))
                    dead.add(volume.id)
                case "vanished":
                    stands = vanished(stands, place, guid=f"{vdev}{slot}")
                case "broken":
                    stands = broken(stands, volume)
                case "detached":
                    stands = detached(stands, place)
                case "pulled":
                    stands = pulled(stands, place)
                case "errors":
                    stands = counted(stands, place)
            lost += failure in ("dead", "vanished", "broken")
    return stands, dead, lost


@settings(max_examples=sweep.examples(80), deadline=None, derandomize=True)
@given(ailing(), cuts())
def test_whatever_failed_the_pool_is_whole_again(ailment: tuple[Standing, set[str], int], where: list[Cut]) -> None:
    stands, dead, lost = ailment
    world = Simulated(stands, iter(where), dead=dead)

    world.repair(WANT, CAREFUL)

    assert world.count(CreateVolume) == lost
    world.require_whole()


@settings(max_examples=sweep.examples(40), deadline=None, derandomize=True)
@given(ailing(least_spare=3), cuts(), st.integers(0, 40))
def test_a_growth_goes_on_after_a_repair(
    ailment: tuple[Standing, set[str], int], where: list[Cut], moment: int
) -> None:
    """The pool fails while a round of a growth is under way."""
    stands, dead, _ = ailment
    larger = replace(WANT, size_gib=4)
    well = standing(stands.design.layout, encrypted=stands.design.encrypted, spare=stands.spare_attachments)
    world = Simulated(well, iter(where))
    while len(world.done) < moment:
        world.carry_out(plan_replacement(larger, world.stands, CAREFUL))
    members = {each.name: each.state for each in stands.pool.members if each.state is not DeviceState.ONLINE}
    for member in world.stands.pool.members:
        if member.name in members and not member.replacing:
            world.happens(with_member(world.stands, member, state=members[member.name]))
    world.dead = dead & {each.id for each in world.stands.current if world.stands.member(each)}

    world.repair(larger, CAREFUL)
    world.finish(lambda now: plan_replacement(larger, now, CAREFUL))

    assert {each.size_gib for each in world.stands.current} == {4}
    world.require_whole()


def test_a_stale_mapping_of_a_volume_that_is_no_member_is_nobodys_business() -> None:
    stands = standing(SIX)
    odd = OpenMapping("cloud-v9s9-g1", 0, stale=True)

    assert plan(stands.seeing(replace(stands.view, opened=(odd,)))) == ()


def test_a_member_that_comes_back_is_resilvered_before_anything_else() -> None:
    stands = failed(standing(), "v1s2")
    (step,) = plan(stands)

    assert kinds(plan(after(stands, step))) == [AwaitScan]
