"""The fleet: many volumes at a time, one look for all of them, and what is left when something fails."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from tests.fakes.cloud import FakeVolumes
from tests.fakes.fuse import Fuse
from tests.fakes.pools import INSTANCE, PAIR, SIX, ZONE, instance, instance_type, wish

from ec2zfs.cloud.protocols import VolumeOrder
from ec2zfs.errors import CloudError, Refused
from ec2zfs.execute.volumes import VolumeFleet
from ec2zfs.model.layout import Layout, Redundancy
from ec2zfs.model.volume import AttachmentState, Volume, VolumeState
from ec2zfs.plan.volumes import AttachVolume, plan_creation, plan_deletion, plan_detachment

FORTY = Layout(Redundancy.RAIDZ1, 5, 8, 1)
WORKERS = 10


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


@pytest.fixture
def cloud() -> FakeVolumes:
    return FakeVolumes("cloud", {INSTANCE: ZONE})


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
