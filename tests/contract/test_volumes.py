"""What volumes must do, whoever keeps them: EC2 (here the local one, through boto3) or the tests' memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count

import pytest
from tests.fakes.cloud import FakeVolumes
from tests.fakes.fuse import Fuse, Killed, Moment
from tests.fakes.local_ec2 import HASTY, OTHER_ZONE, ZONE, launched, served

from ec2zfs.cloud.protocols import VolumeOrder, VolumesApi
from ec2zfs.cloud.volumes import Volumes
from ec2zfs.errors import CloudError, ModificationTooSoon, NotInTime, Refused
from ec2zfs.lab.faults import Fault, FaultKind
from ec2zfs.model.layout import Place
from ec2zfs.model.volume import Attachment, AttachmentState, Retirement, Schedule, Volume, VolumeState

ORDER = VolumeOrder(Place(1, 1), generation=1, size_gib=1, type="gp3", zone=ZONE)
SECOND = replace(ORDER, place=Place(1, 2))
LIMIT = 5.0
TOMORROW = datetime(2026, 11, 26, 2, 17, 5, tzinfo=UTC)


@dataclass(frozen=True)
class World:
    """The pool's volumes under test, two instances in their zone, one in another, and what may go wrong.

    `broken` orders a volume that ends in `error`, and `breaks` lets one that is there end so. `hangs` lets the next
    attachment of one not come about, and `puts_off` lets EC2 refuse to modify one before a time.
    """

    pool: str
    volumes: VolumesApi
    instance: str
    other: str
    elsewhere: str
    broken: Callable[[VolumeOrder], Volume]
    breaks: Callable[[Volume], None]
    hangs: Callable[[Volume], None]
    puts_off: Callable[[Volume, datetime], None]


@pytest.fixture(scope="module")
def begin_world() -> Iterator[Callable[[str], World]]:
    """A world for each test: in the local EC2, a pool and an instance of its own, beside those of the others."""
    with served() as cloud:
        pools = count(1)
        other, elsewhere = (launched(cloud.ec2, zone) for zone in (ZONE, OTHER_ZONE))

        def begin(backend: str) -> World:
            if backend == "memory":
                return _in_memory()
            pool = f"cloud-{next(pools)}"
            volumes = Volumes(cloud.ec2, pool, HASTY)

            def broken(order: VolumeOrder) -> Volume:
                cloud.local.faults.add(Fault(FaultKind.VOLUME_ERROR))
                return volumes.create(order)

            def breaks(volume: Volume) -> None:
                cloud.local.marks.volume_status[volume.id] = "error"

            def hangs(volume: Volume) -> None:
                cloud.local.faults.add(Fault(FaultKind.HANG_ATTACH, volume.id))

            def puts_off(_: Volume, until: datetime) -> None:
                said = f"You can modify it again after {until:%Y-%m-%dT%H:%M:%SZ}."
                refusal = Fault(FaultKind.FAIL, "ModifyVolume", "VolumeModificationRateExceeded", said)
                cloud.local.faults.add(refusal)

            return World(pool, volumes, launched(cloud.ec2), other, elsewhere, broken, breaks, hangs, puts_off)

        yield begin


@pytest.fixture(params=["memory", "local EC2"])
def world(request: pytest.FixtureRequest, begin_world: Callable[[str], World]) -> World:
    return begin_world(request.param)


def _in_memory() -> World:
    volumes = FakeVolumes("cloud", {"i-1": ZONE, "i-2": ZONE, "i-3": OTHER_ZONE})

    def broken(order: VolumeOrder) -> Volume:
        volume = volumes.create(order)
        volumes.break_volume(volume.id)
        return volume

    def breaks(volume: Volume) -> None:
        volumes.break_volume(volume.id)

    def hangs(volume: Volume) -> None:
        volumes.hang_attach(volume.id)

    def puts_off(volume: Volume, until: datetime) -> None:
        volumes.put_off(volume.id, until)

    return World("cloud", volumes, "i-1", "i-2", "i-3", broken, breaks, hangs, puts_off)


def available(volume: Volume) -> bool:
    return volume.state is VolumeState.AVAILABLE


def attached(volume: Volume) -> bool:
    return volume.attachment is not None and volume.attachment.state is AttachmentState.ATTACHED


def made(world: World, order: VolumeOrder = ORDER) -> Volume:
    [volume] = world.volumes.awaited([world.volumes.create(order).id], available, LIMIT)
    return volume


def bound(world: World, order: VolumeOrder = ORDER) -> Volume:
    volume = made(world, order)
    world.volumes.attach(volume, world.instance, "/dev/sdf")
    [volume] = world.volumes.awaited([volume.id], attached, LIMIT)
    return volume


def test_there_are_none_at_first(world: World) -> None:
    assert world.volumes.volumes() == []


def test_a_volume_is_as_ordered_and_becomes_available(world: World) -> None:
    volume = made(world)
    assert volume == Volume(volume.id, world.pool, Place(1, 1), 1, 1, "gp3", ZONE, VolumeState.AVAILABLE)
    assert world.volumes.volumes() == [volume]


def test_volumes_are_listed_by_place_and_generation(world: World) -> None:
    places = [Place(2, 1), Place(1, 10), Place(1, 2)]
    for place in places:
        world.volumes.create(replace(ORDER, place=place))
    world.volumes.create(replace(ORDER, place=Place(1, 2), generation=2))
    assert [(str(volume.place), volume.generation) for volume in world.volumes.volumes()] == [
        ("v1s2", 1),
        ("v1s2", 2),
        ("v1s10", 1),
        ("v2s1", 1),
    ]


def test_the_same_order_twice_is_one_volume(world: World) -> None:
    first = world.volumes.create(ORDER)
    again = world.volumes.create(ORDER)
    assert again.id == first.id
    assert made(world).id == first.id
    assert len(world.volumes.volumes()) == 1


def test_a_volume_whose_answer_was_lost_is_found_by_the_same_order(world: World) -> None:
    dying = Fuse(call=1, moment=Moment.AFTER).wrap(world.volumes)
    with pytest.raises(Killed):
        dying.create(ORDER)
    volume = made(world)
    assert [listed.id for listed in world.volumes.volumes()] == [volume.id]


def test_a_volume_that_was_deleted_is_made_anew(world: World) -> None:
    first = made(world)
    world.volumes.delete(first)
    second = made(world)
    assert second.id != first.id
    world.volumes.delete(second)
    third = made(world)
    assert third.id not in {first.id, second.id}
    assert world.volumes.volumes() == [third]


def test_a_deleted_volume_may_come_back_with_other_values(world: World) -> None:
    world.volumes.delete(made(world))
    larger = replace(ORDER, size_gib=2)
    assert made(world, larger).size_gib == 2
    assert made(world, larger).id == world.volumes.volumes()[0].id


def test_an_order_with_other_values_for_a_volume_that_stands_is_refused(world: World) -> None:
    made(world)
    with pytest.raises(Refused, match="v1s1 was ordered"):
        world.volumes.create(replace(ORDER, size_gib=2))
    assert [volume.size_gib for volume in world.volumes.volumes()] == [1]


def test_deleting_twice_is_deleting_once(world: World) -> None:
    volume = made(world)
    world.volumes.delete(volume)
    world.volumes.delete(volume)
    assert world.volumes.volumes() == []


def test_an_attached_volume_is_not_deleted(world: World) -> None:
    volume = bound(world)
    with pytest.raises(Refused, match="is attached and was not deleted"):
        world.volumes.delete(volume)
    assert world.volumes.volumes() == [volume]


def test_attaching_ends_in_attached(world: World) -> None:
    volume = bound(world)
    assert volume.state is VolumeState.IN_USE
    assert volume.attachment == Attachment(world.instance, "/dev/sdf", AttachmentState.ATTACHED)


@pytest.mark.parametrize("device", ["/dev/sdf", "/dev/sdg"])
def test_attaching_again_to_the_same_instance_changes_nothing(world: World, device: str) -> None:
    volume = bound(world)
    world.volumes.attach(volume, world.instance, device)
    assert world.volumes.volumes() == [volume]


def test_attaching_while_it_is_attaching_is_success(world: World) -> None:
    volume = made(world)
    world.volumes.attach(volume, world.instance, "/dev/sdf")
    world.volumes.attach(volume, world.instance, "/dev/sdf")
    [now] = world.volumes.awaited([volume.id], attached, LIMIT)
    assert now.id == volume.id


def test_a_volume_that_is_attached_elsewhere_is_refused(world: World) -> None:
    volume = bound(world)
    with pytest.raises(Refused, match=f"attached to {world.instance}"):
        world.volumes.attach(volume, world.other, "/dev/sdf")
    assert world.volumes.volumes() == [volume]


def test_a_volume_of_another_zone_is_refused(world: World) -> None:
    with pytest.raises(CloudError) as caught:
        world.volumes.attach(made(world), world.elsewhere, "/dev/sdf")
    assert caught.value.code == "InvalidVolume.ZoneMismatch"


def test_a_device_name_is_given_once(world: World) -> None:
    bound(world)
    with pytest.raises(CloudError) as caught:
        world.volumes.attach(made(world, SECOND), world.instance, "/dev/sdf")
    assert caught.value.code == "InvalidParameterValue"


def test_an_instance_that_is_not_there_gets_no_volume(world: World) -> None:
    with pytest.raises(CloudError) as caught:
        world.volumes.attach(made(world), "i-0123456789abcdef0", "/dev/sdf")
    assert caught.value.code == "InvalidInstanceID.NotFound"


def test_a_volume_that_was_deleted_is_not_attached(world: World) -> None:
    volume = made(world)
    world.volumes.delete(volume)
    with pytest.raises(CloudError):
        world.volumes.attach(volume, world.instance, "/dev/sdf")


def test_detaching_ends_in_available(world: World) -> None:
    volume = bound(world)
    world.volumes.detach(volume)
    [free] = world.volumes.awaited([volume.id], available, LIMIT)
    assert free.attachment is None


def test_detaching_what_is_not_attached_is_success(world: World) -> None:
    volume = bound(world)
    world.volumes.detach(volume)
    world.volumes.detach(volume)
    [free] = world.volumes.awaited([volume.id], available, LIMIT)
    world.volumes.detach(free)
    world.volumes.detach(volume)
    assert world.volumes.volumes() == [free]


def test_a_detached_volume_may_be_attached_elsewhere(world: World) -> None:
    volume = bound(world)
    world.volumes.detach(volume)
    world.volumes.awaited([volume.id], available, LIMIT)
    world.volumes.attach(volume, world.other, "/dev/sdf")
    [moved] = world.volumes.awaited([volume.id], attached, LIMIT)
    assert moved.attachment == Attachment(world.other, "/dev/sdf", AttachmentState.ATTACHED)


def test_many_are_awaited_together_in_the_order_asked_for(world: World) -> None:
    ids = [world.volumes.create(order).id for order in (SECOND, ORDER)]
    assert [volume.id for volume in world.volumes.awaited(ids, available, LIMIT)] == ids


def test_none_are_awaited_at_once(world: World) -> None:
    assert world.volumes.awaited([], available, 0) == []


def test_waiting_ends_at_the_limit(world: World) -> None:
    volume = made(world)
    with pytest.raises(NotInTime, match="After 1 s EC2 is not done"):
        world.volumes.awaited([volume.id], attached, 1)


def test_waiting_for_a_volume_that_is_not_there_ends_at_the_limit(world: World) -> None:
    with pytest.raises(NotInTime, match="EC2 is not done"):
        world.volumes.awaited(["vol-0123456789abcdef0"], available, 1)


def test_a_volume_in_error_ends_the_waiting_at_once(world: World) -> None:
    broken = world.broken(ORDER)
    with pytest.raises(CloudError, match=rf"state error: .*{broken.id}"):
        world.volumes.awaited([broken.id, world.volumes.create(SECOND).id], available, 60)
    assert VolumeState.ERROR in {volume.state for volume in world.volumes.volumes()}


def test_a_volume_in_error_may_be_deleted_and_made_anew(world: World) -> None:
    broken = world.broken(ORDER)
    with pytest.raises(CloudError):
        world.volumes.awaited([broken.id], available, 60)
    world.volumes.delete(broken)
    assert made(world).id != broken.id


def test_an_attachment_that_hangs_is_taken_back_by_force_and_made_anew(world: World) -> None:
    volume = made(world)
    world.hangs(volume)
    world.volumes.attach(volume, world.instance, "/dev/sdf")
    with pytest.raises(NotInTime):
        world.volumes.awaited([volume.id], attached, 1)
    world.volumes.detach(volume, force=True)
    world.volumes.awaited([volume.id], available, LIMIT)
    world.volumes.attach(volume, world.instance, "/dev/sdf")
    world.volumes.awaited([volume.id], attached, LIMIT)


def test_what_is_attached_is_detached_by_force(world: World) -> None:
    volume = bound(world)
    world.volumes.detach(volume, force=True)
    [free] = world.volumes.awaited([volume.id], available, LIMIT)
    world.volumes.detach(free, force=True)


def test_a_volume_in_error_is_awaited_on_its_way_off_a_machine(world: World) -> None:
    volume = bound(world)
    world.breaks(volume)
    world.volumes.detach(volume)
    [free] = world.volumes.awaited([volume.id], lambda each: each.attachment is None, LIMIT, despite_error=True)
    assert free.state is VolumeState.ERROR
    world.volumes.delete(free)


@pytest.mark.parametrize(("size_gib", "kind"), [(2, "gp3"), (1, "gp2"), (2, "gp2")])
def test_a_modified_volume_shows_what_was_asked_for(world: World, size_gib: int, kind: str) -> None:
    volume = bound(world)
    world.volumes.modify(volume, size_gib, kind)
    [now] = world.volumes.awaited([volume.id], lambda each: (each.size_gib, each.type) == (size_gib, kind), LIMIT)
    assert now == replace(volume, size_gib=size_gib, type=kind)


def test_modifying_to_the_same_is_success_however_far_it_has_come(world: World) -> None:
    volume = made(world)
    world.volumes.modify(volume, 1, "gp3")
    for _ in range(3):
        world.volumes.modify(volume, 2, "gp3")
    world.volumes.awaited([volume.id], lambda each: each.size_gib == 2, LIMIT)
    world.volumes.modify(volume, 2, "gp3")


def test_a_volume_does_not_shrink(world: World) -> None:
    volume = made(world, replace(ORDER, size_gib=3))
    with pytest.raises(Refused, match="cannot shrink to 2"):
        world.volumes.modify(volume, 2, "gp3")


def test_a_modification_that_comes_too_soon_tells_when_it_may_come(world: World) -> None:
    volume = made(world)
    world.puts_off(volume, TOMORROW)
    with pytest.raises(ModificationTooSoon) as caught:
        world.volumes.modify(volume, 2, "gp3")
    assert caught.value.not_before == TOMORROW
    assert world.volumes.volumes() == [volume]


def test_the_same_order_is_the_same_volume_though_it_has_grown(world: World) -> None:
    volume = made(world)
    world.volumes.modify(volume, 2, "gp3")
    world.volumes.awaited([volume.id], lambda each: each.size_gib == 2, LIMIT)
    assert world.volumes.create(ORDER).id == volume.id


@pytest.mark.parametrize("since", [None, TOMORROW])
def test_a_retired_volume_says_so(world: World, since: datetime | None) -> None:
    volume = bound(world)
    for _ in range(2):
        world.volumes.retire(volume, since)
    assert world.volumes.volumes() == [replace(volume, retirement=Retirement(since))]


def test_what_was_unproven_is_proven_later(world: World) -> None:
    volume = made(world)
    world.volumes.retire(volume, None)
    world.volumes.retire(volume, TOMORROW)
    assert [each.retirement for each in world.volumes.volumes()] == [Retirement(TOMORROW)]


def test_a_schedule_is_noted_changed_and_taken_away(world: World) -> None:
    volume = made(world)
    for schedule in (Schedule(2, TOMORROW), Schedule(3, TOMORROW), None, None):
        world.volumes.schedule(volume, schedule)
        assert world.volumes.volumes() == [replace(volume, schedule=schedule)]
