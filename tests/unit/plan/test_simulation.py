"""What each action makes of a pool, and that a plan without an end is noticed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.fakes.pools import INSTANCE, ZONE
from tests.fakes.standing import NOW, at, broken, failed, standing, with_member, with_volume

from ec2zfs.errors import Refused
from ec2zfs.model.layout import GIB, Place
from ec2zfs.model.pool import DeviceState
from ec2zfs.model.scan import ScanFunction, ScanState
from ec2zfs.model.standing import Standing, picture
from ec2zfs.model.volume import Retirement, Schedule, VolumeState
from ec2zfs.plan.pool import FormatVolume, Holding, OpenVolume, holding
from ec2zfs.plan.simulation import after, foreseen
from ec2zfs.plan.upkeep import (
    AddVdev,
    AwaitScan,
    ClearErrors,
    CloseVolume,
    DropMember,
    ExpandMembers,
    NoteScrub,
    OfflineMember,
    ReopenMember,
    ReplaceMember,
    StartScan,
    Step,
    UpkeepAction,
)
from ec2zfs.plan.volumes import (
    AttachVolume,
    CreateVolume,
    DeleteVolume,
    DetachVolume,
    ModifyVolume,
    RetireVolume,
)

V1S1 = Place(1, 1)
CREATE = CreateVolume("cloud", V1S1, 2, 4, "gp3", ZONE)
ATTACH = AttachVolume("cloud", V1S1, 2, INSTANCE, "/dev/sdz")
RESILVERED = AwaitScan(ScanFunction.RESILVER)


def done(stands: Standing, *actions: UpkeepAction) -> Standing:
    for action in actions:
        stands = after(stands, action)
    return stands


def joining(*, encrypted: bool = True) -> Standing:
    """A second volume at v1s1, attached and open."""
    stands = done(standing(encrypted=encrypted), CREATE, ATTACH)
    new = stands.at(V1S1)[1]
    return done(stands, FormatVolume(new, Holding.BLANK), OpenVolume(new)) if encrypted else stands


def replacing(*, encrypted: bool = True) -> Standing:
    stands = joining(encrypted=encrypted)
    new = stands.at(V1S1)[1]
    seen = stands.view.volume(new.serial)
    assert seen
    path = f"/dev/mapper/{new.mapping}" if encrypted else seen.path
    return after(stands, ReplaceMember(stands.members(V1S1)[0], new, path))


def leaves(stands: Standing) -> list[str]:
    """The first vdev's members, with what is remarkable about them."""
    return [
        f"g{stands.generation_of(each)}{' ' + each.state if each.state is not DeviceState.ONLINE else ''}"
        f"{' replacing' * each.replacing}{' resilvering' * each.resilvering}"
        for each in stands.pool.vdevs[0].members
    ]


def test_a_new_volume_shows_blank_once_it_is_attached() -> None:
    stands = done(standing(), CREATE)
    new = stands.at(V1S1)[1]
    assert (new.state, stands.view.volume(new.serial)) == (VolumeState.AVAILABLE, None)

    stands = done(stands, ATTACH)

    (seen,) = stands.view.volumes
    assert stands.attached(stands.at(V1S1)[1])
    assert holding(new, seen, encrypted=True) is Holding.BLANK
    (seen,) = done(stands, FormatVolume(new, Holding.BLANK)).view.volumes
    assert holding(new, seen, encrypted=True) is Holding.OURS


def test_a_second_new_volume_of_a_place_is_another_one() -> None:
    stands = done(standing(), CREATE, replace(CREATE, generation=3))

    assert len({each.id for each in stands.at(V1S1)}) == 3


@pytest.mark.parametrize("encrypted", [True, False])
def test_a_replacement_from_its_begin_to_its_end(encrypted: bool) -> None:
    stands = replacing(encrypted=encrypted)
    assert leaves(stands) == ["g1 replacing", "g2 replacing resilvering", "g1", "g1"]
    assert stands.pool.resilvering
    assert [stands.generation_of(each) for each in stands.members(V1S1)] == [1, 2]

    stands = after(stands, RESILVERED)

    assert leaves(stands) == ["g2", "g1", "g1"]
    assert (stands.pool.resilvering, stands.pool.healthy) == (False, True)


def test_a_replacement_whose_new_half_failed_does_not_end() -> None:
    stands = replacing()
    stands = after(broken(stands, stands.at(V1S1)[1]), RESILVERED)
    assert leaves(stands) == ["g1 replacing", "g2 FAULTED replacing", "g1", "g1"]

    stands = after(stands, DropMember(stands.members(V1S1)[1]))

    assert leaves(stands) == ["g1", "g1", "g1"]
    assert stands.pool.healthy


def test_what_was_offline_is_gone_once_it_was_replaced() -> None:
    stands = joining()
    old = stands.members(V1S1)[0]
    stands = after(stands, OfflineMember(old))
    assert (stands.pool.state, leaves(stands)[0]) == (DeviceState.DEGRADED, "g1 OFFLINE")

    new = stands.at(V1S1)[1]
    stands = done(stands, ReplaceMember(stands.members(V1S1)[0], new, f"/dev/mapper/{new.mapping}"), RESILVERED)

    assert (stands.pool.healthy, leaves(stands)[0]) == (True, "g2")


def test_a_member_that_comes_back() -> None:
    stands = failed(standing(), "v1s2", write_errors=4, guid="7")
    member, volume = at(stands, "v1s2")
    stands = after(after(stands, CloseVolume(volume)), ReopenMember(member, volume))

    assert leaves(stands) == ["g1", "g1 resilvering", "g1"]
    assert volume.mapping in stands.view.mappings
    assert after(stands, RESILVERED).pool.healthy


def test_a_scrub_and_what_is_noted_of_it() -> None:
    stands = after(standing(scrubbed=None), StartScan())
    assert stands.pool.scan
    assert (stands.pool.scan.function, stands.pool.scan.state) == (ScanFunction.SCRUB, ScanState.RUNNING)

    stands = after(stands, AwaitScan(ScanFunction.SCRUB))

    assert stands.pool.last_clean_scrub == NOW
    assert after(stands, NoteScrub(NOW)).pool.scrubbed == NOW


def test_errors_are_counted_anew() -> None:
    stands = standing()
    stands = with_member(stands, stands.pool.members[0], checksum_errors=2)

    assert after(stands, ClearErrors()).pool.healthy


def test_a_volume_on_its_way_out() -> None:
    stands = after(replacing(), RESILVERED)
    old = stands.at(V1S1)[0]

    stands = done(stands, CloseVolume(old), DetachVolume(old), RetireVolume(old, NOW))

    gone = next(each for each in stands.volumes if each.id == old.id)
    assert (gone.state, gone.attachment, gone.retirement) == (VolumeState.AVAILABLE, None, Retirement(NOW))
    assert old.mapping not in stands.view.mappings
    assert after(stands, DeleteVolume(gone, "test")).volumes == tuple(each for each in stands.volumes if each != gone)


def test_growth_is_seen_once_it_is_used() -> None:
    stands = standing()
    before = stands.pool.size
    for volume in stands.volumes:
        late = with_volume(stands, volume, schedule=Schedule(2, NOW + timedelta(hours=1)))
        stands = after(late, ModifyVolume(volume, 2, "gp3"))
    assert (stands.pool.size, {each.schedule for each in stands.volumes}) == (before, {None})

    stands = after(stands, ExpandMembers(stands.volumes))

    assert (stands.pool.size, stands.pool.vdevs[0].size) == (2 * before, 6 * GIB)


def test_a_vdev_that_is_added() -> None:
    stands = standing()
    new = [replace(CREATE, place=Place(3, slot), generation=1, size_gib=1) for slot in (1, 2, 3)]
    stands = done(stands, *new)
    volumes = stands.volumes[-3:]

    stands = after(stands, AddVdev("raidz1", volumes, tuple(f"/dev/mapper/{each.mapping}" for each in volumes)))

    assert picture(stands).members[2] == ("raidz1", tuple((f"v3s{slot}", 1, DeviceState.ONLINE) for slot in (1, 2, 3)))
    assert stands.pool.size == 9 * GIB


def test_what_a_plan_raises_is_raised() -> None:
    def plan(stands: Standing) -> Step:
        if stands.pool.scan:
            raise Refused("no further")
        return (StartScan(),)

    with pytest.raises(Refused, match="no further"):
        foreseen(plan, standing())


def test_a_plan_without_an_end_is_noticed() -> None:
    with pytest.raises(RuntimeError, match=r"the plan has no end: after 10000 steps it wants to scrub the pool"):
        foreseen(lambda _: (StartScan(),), standing())
