import pytest
from mypy_boto3_ec2 import EC2Client
from tests.unit.lab.asking import attach, available, create, refused, running, until, volume
from tests.unit.lab.conftest import Serve

from ec2zfs.lab.api.local import LocalEc2
from ec2zfs.lab.api.settings import Times
from ec2zfs.lab.faults import Fault, FaultKind


def test_a_new_volume_is_being_created(serving: Serve, ec2: EC2Client) -> None:
    serving(Times(volume_create=60))
    new = create(ec2)
    assert volume(ec2, new)["State"] == "creating"
    with refused("IncorrectState"):
        ec2.delete_volume(VolumeId=new)


def test_it_becomes_available(local: LocalEc2, ec2: EC2Client) -> None:
    available(ec2)


def test_it_can_end_in_error_and_be_deleted(local: LocalEc2, ec2: EC2Client) -> None:
    local.faults.add(Fault(FaultKind.VOLUME_ERROR))
    broken, sound = create(ec2), available(ec2)
    until(lambda: volume(ec2, broken)["State"] == "error")
    assert volume(ec2, sound)["State"] == "available"
    ec2.delete_volume(VolumeId=broken)


def test_it_is_found_by_its_state(local: LocalEc2, ec2: EC2Client) -> None:
    made = available(ec2)
    found = ec2.describe_volumes(Filters=[{"Name": "status", "Values": ["available"]}])["Volumes"]
    assert [each["VolumeId"] for each in found] == [made]
    assert ec2.describe_volumes(Filters=[{"Name": "status", "Values": ["error"]}])["Volumes"] == []


def test_a_deleted_volume_is_deleting_and_then_not_found(serving: Serve, ec2: EC2Client) -> None:
    serving(Times(volume_create=0, volume_delete=0.2))
    made = available(ec2)
    ec2.delete_volume(VolumeId=made)
    assert volume(ec2, made)["State"] == "deleting"
    until(lambda: ec2.describe_volumes()["Volumes"] == [])
    with refused("InvalidVolume.NotFound"):
        volume(ec2, made)


def test_an_attached_volume_is_not_deleted(local: LocalEc2, ec2: EC2Client) -> None:
    instance, data = running(ec2), available(ec2)
    attach(ec2, data, instance)
    with refused("VolumeInUse", instance):
        ec2.delete_volume(VolumeId=data)


@pytest.mark.parametrize("place", range(3))
def test_an_id_makes_a_serial_of_20_characters(local: LocalEc2, ec2: EC2Client, place: int) -> None:
    assert len(create(ec2).replace("-", "")) == 20
