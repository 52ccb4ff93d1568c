import pytest
from mypy_boto3_ec2 import EC2Client
from tests.unit.lab.asking import (
    OTHER_ZONE,
    attach,
    attachment,
    available,
    create,
    describe,
    launch,
    refused,
    running,
    state,
    until,
    volume,
)
from tests.unit.lab.conftest import Serve

from ec2zfs.lab.api.local import LocalEc2
from ec2zfs.lab.api.room import NoMachines
from ec2zfs.lab.api.settings import Times
from ec2zfs.lab.faults import Fault, FaultKind


def test_a_volume_is_attaching_first(serving: Serve, ec2: EC2Client) -> None:
    serving(Times(attach=60))
    instance, data = running(ec2), available(ec2)
    ec2.attach_volume(VolumeId=data, InstanceId=instance, Device="/dev/sdf")
    assert (volume(ec2, data)["State"], attachment(ec2, data)) == ("in-use", "attaching")
    assert describe(ec2, instance)["BlockDeviceMappings"][1]["Ebs"]["Status"] == "attaching"


def test_it_is_attached_then(local: LocalEc2, ec2: EC2Client) -> None:
    instance, data = running(ec2), available(ec2)
    attach(ec2, data, instance)
    mapping = describe(ec2, instance)["BlockDeviceMappings"][1]
    assert (mapping["DeviceName"], mapping["Ebs"]["Status"]) == ("/dev/sdf", "attached")
    assert mapping["Ebs"]["DeleteOnTermination"] is False


def test_it_is_attached_to_a_stopped_instance(local: LocalEc2, ec2: EC2Client) -> None:
    instance, data = running(ec2), available(ec2)
    ec2.stop_instances(InstanceIds=[instance])
    until(lambda: state(ec2, instance) == "stopped")
    attach(ec2, data, instance)


def test_twice_is_refused(local: LocalEc2, ec2: EC2Client) -> None:
    instance, other, data = running(ec2), running(ec2), available(ec2)
    attach(ec2, data, instance)
    for again in (instance, other):
        with refused("VolumeInUse"):
            ec2.attach_volume(VolumeId=data, InstanceId=again, Device="/dev/sdg")


def test_another_zone_is_refused(local: LocalEc2, ec2: EC2Client) -> None:
    instance, data = running(ec2), available(ec2, AvailabilityZone=OTHER_ZONE)
    with refused("InvalidVolume.ZoneMismatch"):
        ec2.attach_volume(VolumeId=data, InstanceId=instance, Device="/dev/sdf")


def test_a_device_name_in_use_is_refused(local: LocalEc2, ec2: EC2Client) -> None:
    instance = running(ec2)
    attach(ec2, available(ec2), instance)
    with refused("InvalidParameterValue", "/dev/sdf is already in use"):
        ec2.attach_volume(VolumeId=available(ec2), InstanceId=instance, Device="/dev/sdf")


def test_a_pending_instance_and_a_volume_being_created_are_refused(serving: Serve, ec2: EC2Client) -> None:
    serving(Times(instance_start=60))
    with refused("IncorrectState", "Instance"):
        ec2.attach_volume(VolumeId=available(ec2), InstanceId=launch(ec2), Device="/dev/sdf")


def test_a_volume_being_created_is_refused(serving: Serve, ec2: EC2Client) -> None:
    serving(Times(volume_create=60))
    with refused("IncorrectState", "Volume"):
        ec2.attach_volume(VolumeId=create(ec2), InstanceId=running(ec2), Device="/dev/sdf")


def test_detaching_needs_no_instance_id(local: LocalEc2, ec2: EC2Client) -> None:
    instance, data = running(ec2), available(ec2)
    attach(ec2, data, instance)
    assert ec2.detach_volume(VolumeId=data)["State"] == "detaching"
    until(lambda: volume(ec2, data)["State"] == "available")
    assert len(describe(ec2, instance)["BlockDeviceMappings"]) == 1


def test_a_volume_that_is_not_attached_is_not_detached(local: LocalEc2, ec2: EC2Client) -> None:
    instance, data = running(ec2), available(ec2)
    with refused("IncorrectState", "'available' state"):
        ec2.detach_volume(VolumeId=data)
    attach(ec2, data, instance)
    with refused("InvalidAttachment.NotFound"):
        ec2.detach_volume(VolumeId=data, InstanceId=running(ec2))


def test_the_root_volume_of_a_running_instance_stays(local: LocalEc2, ec2: EC2Client) -> None:
    root = describe(ec2, running(ec2))["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    with refused("OperationNotPermitted"):
        ec2.detach_volume(VolumeId=root)


def test_a_guest_that_holds_on_makes_it_busy(serving: Serve, ec2: EC2Client) -> None:
    room = _Holding()
    serving(room=room)
    instance, data = running(ec2), available(ec2)
    attach(ec2, data, instance)
    ec2.detach_volume(VolumeId=data)
    until(lambda: attachment(ec2, data) == "busy")
    assert ec2.detach_volume(VolumeId=data)["State"] == "busy"
    room.holds = False
    until(lambda: volume(ec2, data)["State"] == "available")
    assert len(describe(ec2, instance)["BlockDeviceMappings"]) == 1


def test_a_volume_is_not_busy_any_more_when_its_instance_is_gone(serving: Serve, ec2: EC2Client) -> None:
    room = _Holding()
    local = serving(room=room)
    instance, data = running(ec2), available(ec2)
    attach(ec2, data, instance)
    ec2.detach_volume(VolumeId=data)
    until(lambda: attachment(ec2, data) == "busy")
    ec2.terminate_instances(InstanceIds=[instance])
    until(lambda: volume(ec2, data)["State"] == "available")
    assert local.transitions.settled(5.0)


class _Holding(NoMachines):
    """A room whose guests hold on to their disks as long as it `holds`, but not against force."""

    holds = True

    def detach(self, instance_id: str, volume_id: str, *, force: bool = False) -> None:
        if self.holds and not force:
            raise TimeoutError


@pytest.mark.parametrize("asked_before", [False, True], ids=["at once", "when it is busy"])
def test_by_force_it_is_pulled_out_of_a_guest_that_holds_on(serving: Serve, ec2: EC2Client, asked_before: bool) -> None:
    local = serving(room=_Holding())
    instance, data = running(ec2), available(ec2)
    attach(ec2, data, instance)
    if asked_before:
        ec2.detach_volume(VolumeId=data)
        until(lambda: attachment(ec2, data) == "busy")
    ec2.detach_volume(VolumeId=data, Force=True)
    until(lambda: volume(ec2, data)["State"] == "available")
    assert local.transitions.settled(5.0)
    attach(ec2, data, instance)


def test_an_attach_that_hangs_can_be_taken_back(local: LocalEc2, ec2: EC2Client) -> None:
    instance, data, other = running(ec2), available(ec2), available(ec2)
    local.faults.add(Fault(FaultKind.HANG_ATTACH, data))
    ec2.attach_volume(VolumeId=data, InstanceId=instance, Device="/dev/sdf")
    attach(ec2, other, instance, "/dev/sdg")
    assert attachment(ec2, data) == "attaching"
    ec2.detach_volume(VolumeId=data)
    until(lambda: volume(ec2, data)["State"] == "available")
    attach(ec2, data, instance)
