"""The fleet: many volumes at a time, one look for all of them, and what is left when something fails."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime

import pytest
from tests.fakes.cloud import FakeVolumes
from tests.fakes.fuse import Fuse
from tests.fakes.pools import INSTANCE, PAIR, SIX, ZONE, instance, instance_type, wish

from ec2zfs.cloud.protocols import VolumeOrder
from ec2zfs.errors import CloudError, Refused
from ec2zfs.execute.progress import Silent
from ec2zfs.execute.volumes import Limits, VolumeFleet
from ec2zfs.model.layout import Layout, Redundancy
from ec2zfs.model.volume import AttachmentState, Retirement, Schedule, Volume, VolumeState
from ec2zfs.plan.volumes import (
    AttachVolume,
    CreateVolume,
    DetachVolume,
    ModifyVolume,
    RetireVolume,
    plan_creation,
    plan_deletion,
    plan_detachment,
)

FORTY = Layout(Redundancy.RAIDZ1, 5, 8, 1)
WORKERS = 10
QUICK = Limits(attach=3, detach=3, modify=3, tag=3)
TOMORROW = datetime(2026, 11, 26, tzinfo=UTC)


class Gathering(FakeVolumes):
    """Each call waits until as many are under way as the fleet may have, so that only a parallel fleet passes."""

    def __init__(self) -> None:
        super().__init__("cloud", {INSTANCE: ZONE})
        self._together = threading.Barrier(WORKERS, timeout=30)
        self._counting = threading.Lock()
        self._under_way = 0
        self.most = 0

    def create(self, order: VolumeOrder) -> Volume:
        self._meet()
        return super().create(order)

    def attach(self, volume: Volume, instance_id: str, device: str) -> None:
        self._meet()
        super().attach(volume, instance_id, device)

    def _meet(self) -> None:
        with self._counting:
            self._under_way += 1
            self.most = max(self.most, self._under_way)
        self._together.wait()
        with self._counting:
            self._under_way -= 1


class Said(Silent):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


@pytest.fixture
def cloud() -> FakeVolumes:
    return FakeVolumes("cloud", {INSTANCE: ZONE})


@pytest.fixture
def said() -> Said:
    return Said()


def standing(cloud: FakeVolumes, layout: Layout = PAIR) -> list[Volume]:
    """The volumes of a layout, made and not attached."""
    return VolumeFleet(cloud).carry_out(plan_creation(wish(layout), []))


def test_forty_volumes_are_created_and_attached_ten_at_a_time() -> None:
    cloud = Gathering()
    fleet = VolumeFleet(cloud, workers=WORKERS)
    fleet.carry_out(plan_creation(wish(FORTY), []))
    attached = fleet.attached(instance(), instance_type(64))
    assert (len(attached), cloud.most) == (40, WORKERS)
    assert {volume.attachment.state for volume in attached if volume.attachment} == {AttachmentState.ATTACHED}


def test_calls_do_not_grow_but_with_the_volumes() -> None:
    calls = {}
    for layout in (PAIR, FORTY):
        fuse = Fuse()
        fleet = VolumeFleet(fuse.wrap(FakeVolumes("cloud", {INSTANCE: ZONE})))
        fleet.carry_out(plan_creation(wish(layout), fleet.volumes()))
        fleet.attached(instance(), instance_type(64))
        calls[layout.volumes] = Counter(fuse.calls)
    assert calls[40] == calls[2] + Counter(create=38, attach=38)
    assert calls[2] == Counter(volumes=5, create=2, attach=2, awaited=2)


def test_what_is_there_costs_one_look(cloud: FakeVolumes) -> None:
    fuse = Fuse()
    fleet = VolumeFleet(fuse.wrap(cloud))
    fleet.carry_out(plan_creation(wish(), []))
    first = fleet.attached(instance(), instance_type())
    fuse.calls.clear()
    assert fleet.attached(instance(), instance_type()) == first
    assert fuse.calls == ["volumes"]


def test_a_failure_is_raised_and_what_was_done_stays(cloud: FakeVolumes) -> None:
    class Full(FakeVolumes):
        def create(self, order: VolumeOrder) -> Volume:
            if self.made == 4:
                raise CloudError("no more", code="VolumeLimitExceeded")
            return super().create(order)

    full = Full("cloud", {INSTANCE: ZONE})
    with pytest.raises(CloudError, match="no more"):
        VolumeFleet(full, workers=2).carry_out(plan_creation(wish(), []))
    assert full.made == 4
    rest = plan_creation(wish(), full.volumes())
    assert len(rest) == 2


def test_a_volume_that_ends_in_error_is_told_at_once(cloud: FakeVolumes) -> None:
    fleet = VolumeFleet(cloud)
    fleet.carry_out(plan_creation(wish(PAIR), []))
    cloud.break_volume(fleet.volumes()[1].id)
    with pytest.raises(Refused, match="in state error"):
        fleet.attached(instance(), instance_type())


def test_a_volume_on_its_way_off_is_awaited_before_it_is_attached(cloud: FakeVolumes) -> None:
    fleet = VolumeFleet(cloud)
    fleet.carry_out(plan_creation(wish(PAIR), []))
    for volume in fleet.attached(instance(), instance_type()):
        cloud.detach(volume)
    attached = fleet.attached(instance(), instance_type())
    assert {volume.attachment and volume.attachment.state for volume in attached} == {AttachmentState.ATTACHED}


def test_detached_volumes_are_free_and_can_be_deleted(cloud: FakeVolumes) -> None:
    fleet = VolumeFleet(cloud)
    fleet.carry_out(plan_creation(wish(SIX), []))
    attached = fleet.attached(instance(), instance_type())
    freed = fleet.carry_out(plan_detachment(attached))
    assert {(volume.state, volume.attachment) for volume in freed} == {(VolumeState.AVAILABLE, None)}
    assert fleet.carry_out(plan_deletion(freed, "asked for")) == []


def test_what_does_not_exist_is_not_attached(cloud: FakeVolumes) -> None:
    place = next(SIX.places())
    with pytest.raises(Refused, match="There is no volume at v1s1 to attach"):
        VolumeFleet(cloud).carry_out([AttachVolume("cloud", place, 1, INSTANCE, "/dev/sdf")])


def test_volumes_are_attached_without_those_that_ec2_gave_up_or_that_are_kept(cloud: FakeVolumes) -> None:
    first, second, *rest = standing(cloud, SIX)
    cloud.break_volume(first.id)
    cloud.retire(second, TOMORROW)
    attached = VolumeFleet(cloud).attached(instance(), instance_type(), accept_degraded=True)
    assert [volume.id for volume in attached] == [volume.id for volume in rest]
    assert {volume.attached for volume in attached} == {True}
    assert [volume.id for volume in cloud.paid if volume.attachment is None] == [first.id, second.id]


def test_a_volume_that_left_before_its_successor_came_is_told_of_and_not_attached(cloud: FakeVolumes) -> None:
    first, second = standing(cloud)
    cloud.retire(first, None)
    told = VolumeFleet(cloud).attached(instance(), instance_type(), accept_degraded=True)
    assert [(volume.id, volume.attached) for volume in told] == [(first.id, False), (second.id, True)]


def test_a_volume_in_error_is_detached(cloud: FakeVolumes) -> None:
    standing(cloud)
    fleet = VolumeFleet(cloud, limits=QUICK)
    broken = fleet.attached(instance(), instance_type())[0]
    cloud.break_volume(broken.id)
    freed = fleet.carry_out(plan_detachment(fleet.volumes()))
    assert [(volume.state, volume.attachment) for volume in freed] == [
        (VolumeState.ERROR, None),
        (VolumeState.AVAILABLE, None),
    ]


def test_an_attachment_that_hangs_is_taken_back_and_made_under_another_name(cloud: FakeVolumes, said: Said) -> None:
    first, second = standing(cloud)
    cloud.hang_attach(second.id)
    attached = VolumeFleet(cloud, said, limits=QUICK).attached(instance(), instance_type())
    assert [volume.attachment and (volume.attachment.device, volume.attachment.state) for volume in attached] == [
        ("/dev/sdf", AttachmentState.ATTACHED),
        ("/dev/sdh", AttachmentState.ATTACHED),
    ]
    assert said.lines == [
        f"v1s2 ({second.id}) did not come to an end with attaching in 3 s: taken back by force, and tried once more."
    ]
    assert first.id not in said.lines[0]


def test_an_attachment_that_hangs_again_is_a_failure_and_the_others_stay(cloud: FakeVolumes) -> None:
    first, second = standing(cloud)
    cloud.hang_attach(first.id, times=2)
    fleet = VolumeFleet(cloud, limits=QUICK)
    with pytest.raises(CloudError, match=rf"v1s1 \({first.id}\) hangs .*instance stop.*--replace {first.id}"):
        fleet.attached(instance(), instance_type())
    states = {volume.id: volume.attachment and volume.attachment.state for volume in fleet.volumes()}
    assert states == {first.id: AttachmentState.ATTACHING, second.id: AttachmentState.ATTACHED}
    assert len(fleet.attached(instance(), instance_type())) == 2


def test_one_that_is_to_be_replaced_may_hang(cloud: FakeVolumes, said: Said) -> None:
    first, second = standing(cloud)
    cloud.hang_attach(first.id, times=2)
    fleet = VolumeFleet(cloud, said, limits=QUICK)
    attached = fleet.attached(instance(), instance_type(), accept_degraded=True, condemned=frozenset({first.id}))
    assert [volume.id for volume in attached] == [second.id]
    assert said.lines[1:] == [f"v1s1 ({first.id}) hangs in attaching again, and is done without: it is to be replaced."]


def test_an_attachment_that_never_came_about_is_ended_by_force(cloud: FakeVolumes) -> None:
    class Strict(FakeVolumes):
        def detach(self, volume: Volume, *, force: bool = False) -> None:
            forced.append((volume.id, force))
            super().detach(volume, force=force)

    forced: list[tuple[str, bool]] = []
    strict = Strict("cloud", {INSTANCE: ZONE})
    first, second = standing(strict)
    strict.attach(second, INSTANCE, "/dev/sdg")
    strict.volumes()
    strict.hang_attach(first.id)
    strict.attach(first, INSTANCE, "/dev/sdf")
    VolumeFleet(strict, limits=QUICK).carry_out(plan_detachment(strict.paid))
    assert sorted(forced) == [(first.id, True), (second.id, False)]


def test_what_does_not_fit_is_left_out(cloud: FakeVolumes) -> None:
    first, second = standing(cloud)
    fleet = VolumeFleet(cloud, limits=QUICK)
    fleet.carry_out([CreateVolume("cloud", first.place, 2, 1, "gp3", ZONE)])
    attached = fleet.attached(instance(), instance_type(3))
    assert [volume.id for volume in attached] == [first.id, second.id]


def test_calls_for_an_attachment_that_hangs(cloud: FakeVolumes) -> None:
    for volume in standing(cloud, FORTY):
        cloud.hang_attach(volume.id)
    fuse = Fuse()
    VolumeFleet(fuse.wrap(cloud), limits=QUICK).attached(instance(), instance_type(64))
    assert Counter(fuse.calls) == Counter(volumes=4, attach=80, detach=40, awaited=3)


def test_an_attachment_that_is_late_for_another_reason_is_told(cloud: FakeVolumes) -> None:
    class Slow(FakeVolumes):
        def attach(self, volume: Volume, instance_id: str, device: str) -> None:
            pass

    slow = Slow("cloud", {INSTANCE: ZONE})
    standing(slow)
    with pytest.raises(CloudError, match="EC2 is not done"):
        VolumeFleet(slow, limits=QUICK).attached(instance(), instance_type())


def test_a_volume_that_vanishes_while_it_attaches_is_told(cloud: FakeVolumes) -> None:
    class Vanishing(FakeVolumes):
        def attach(self, volume: Volume, instance_id: str, device: str) -> None:
            self.delete(volume)

    vanishing = Vanishing("cloud", {INSTANCE: ZONE})
    standing(vanishing)
    with pytest.raises(CloudError, match="EC2 is not done"):
        VolumeFleet(vanishing, limits=QUICK).attached(instance(), instance_type())


def test_volumes_are_modified_together_and_awaited(cloud: FakeVolumes, said: Said) -> None:
    volumes = standing(cloud, FORTY)
    fuse = Fuse()
    fleet = VolumeFleet(fuse.wrap(cloud), said, limits=QUICK)
    grown = fleet.carry_out([ModifyVolume(volume, 2, "gp2") for volume in volumes])
    assert {(volume.size_gib, volume.type) for volume in grown} == {(2, "gp2")}
    assert Counter(fuse.calls) == Counter(volumes=1, modify=40, awaited=1)
    assert said.lines == []


def test_what_ec2_modifies_later_is_noted_and_said(cloud: FakeVolumes, said: Said) -> None:
    first, second = standing(cloud)
    cloud.put_off(second.id, TOMORROW)
    fleet = VolumeFleet(cloud, said, limits=QUICK)
    now = fleet.carry_out([ModifyVolume(volume, 2, "gp3") for volume in (first, second)])
    assert [(volume.size_gib, volume.schedule) for volume in now] == [(2, None), (1, Schedule(2, TOMORROW))]
    [line] = said.lines
    assert line.startswith(f"EC2 does not modify v1s2 ({second.id}) so soon again. A daily run does it,")
    assert line.endswith("from 2026-11-26 00:00 UTC on.")
    cloud.put_off(second.id, None)
    done = fleet.carry_out([ModifyVolume(now[1], 2, "gp3")])
    assert [(volume.size_gib, volume.schedule) for volume in done] == [(2, None), (2, None)]


def test_a_modification_is_awaited_again_when_it_was_cut_off(cloud: FakeVolumes) -> None:
    first, _ = standing(cloud)
    cloud.modify(first, 2, "gp3")
    [now, _] = VolumeFleet(cloud, limits=QUICK).carry_out([ModifyVolume(first, 2, "gp3")])
    assert now.size_gib == 2


def test_what_is_put_aside_is_detached_first_and_says_since_when(cloud: FakeVolumes) -> None:
    standing(cloud)
    fleet = VolumeFleet(cloud, limits=QUICK)
    first, second = fleet.attached(instance(), instance_type())
    fuse = Fuse()
    kept = VolumeFleet(fuse.wrap(cloud), limits=QUICK).carry_out(
        (RetireVolume(first, TOMORROW), DetachVolume(first), RetireVolume(second, None))
    )
    assert [(volume.retirement, volume.attachment is None) for volume in kept] == [
        (Retirement(TOMORROW), True),
        (Retirement(None), False),
    ]
    assert fuse.calls == ["detach", "awaited", "retire", "retire", "awaited", "volumes"]


def test_a_volume_in_error_is_put_aside(cloud: FakeVolumes) -> None:
    first, _ = standing(cloud)
    cloud.break_volume(first.id)
    [kept, _] = VolumeFleet(cloud, limits=QUICK).carry_out([RetireVolume(first, None)])
    assert kept.retirement == Retirement(None)
