from typing import Any

import pytest
from mypy_boto3_ec2 import EC2Client
from mypy_boto3_ec2.type_defs import VolumeModificationTypeDef
from tests.unit.lab.asking import available, refused, until, volume
from tests.unit.lab.conftest import Serve

from ec2zfs.lab.api.local import LocalEc2
from ec2zfs.lab.api.settings import Times


def latest(ec2: EC2Client, volume_id: str) -> VolumeModificationTypeDef:
    return ec2.describe_volumes_modifications(VolumeIds=[volume_id])["VolumesModifications"][0]


def grown(ec2: EC2Client, volume_id: str, size: int) -> None:
    ec2.modify_volume(VolumeId=volume_id, Size=size)
    until(lambda: latest(ec2, volume_id)["ModificationState"] == "completed")


def test_a_modification_begins_without_the_new_size(serving: Serve, ec2: EC2Client) -> None:
    serving(Times(modify=60))
    data = available(ec2)
    assert ec2.modify_volume(VolumeId=data, Size=2)["VolumeModification"]["ModificationState"] == "modifying"
    found = latest(ec2, data)
    assert (found["OriginalSize"], found["TargetSize"], found["Progress"]) == (1, 2, 0)
    assert volume(ec2, data)["Size"] == 1


def test_the_new_size_is_there_while_it_is_optimized(serving: Serve, ec2: EC2Client) -> None:
    serving(Times(modify=0, optimize=60))
    data = available(ec2)
    ec2.modify_volume(VolumeId=data, Size=2)
    until(lambda: latest(ec2, data)["ModificationState"] == "optimizing")
    assert volume(ec2, data)["Size"] == 2


def test_it_completes(local: LocalEc2, ec2: EC2Client) -> None:
    data = available(ec2, Size=125)
    ec2.modify_volume(VolumeId=data, VolumeType="st1")
    until(lambda: latest(ec2, data)["ModificationState"] == "completed")
    assert (latest(ec2, data)["Progress"], volume(ec2, data)["VolumeType"]) == (100, "st1")


def test_a_second_one_waits_for_the_first(serving: Serve, ec2: EC2Client) -> None:
    serving(Times(optimize=60))
    data = available(ec2)
    ec2.modify_volume(VolumeId=data, Size=2)
    with refused("IncorrectModificationState"):
        ec2.modify_volume(VolumeId=data, Size=3)


def test_a_fifth_one_in_a_day_is_refused_with_the_time_of_the_next(local: LocalEc2, ec2: EC2Client) -> None:
    data = available(ec2)
    for size in (2, 3, 4, 5):
        grown(ec2, data, size)
    with refused("VolumeModificationRateExceeded", r"again after \d{4}-\d\d-\d\dT"):
        ec2.modify_volume(VolumeId=data, Size=6)


def test_after_the_window_it_goes_on(serving: Serve, ec2: EC2Client) -> None:
    serving(Times(modify=0, optimize=0, modification_window=0))
    data = available(ec2)
    for size in (2, 3, 4, 5, 6):
        grown(ec2, data, size)


def test_nothing_shrinks(local: LocalEc2, ec2: EC2Client) -> None:
    with refused("InvalidParameterValue", "smaller"):
        ec2.modify_volume(VolumeId=available(ec2, Size=2), Size=1)


def test_a_volume_that_was_never_modified_has_none(local: LocalEc2, ec2: EC2Client) -> None:
    data = available(ec2)
    assert ec2.describe_volumes_modifications()["VolumesModifications"] == []
    with refused("InvalidVolumeModification.NotFound"):
        latest(ec2, data)


@pytest.mark.parametrize(("wanted", "found"), [("completed", 1), ("failed", 0)])
def test_they_are_found_by_their_state(local: LocalEc2, ec2: EC2Client, wanted: str, found: int) -> None:
    grown(ec2, available(ec2), 2)
    wish: Any = [{"Name": "modification-state", "Values": [wanted]}]
    assert len(ec2.describe_volumes_modifications(Filters=wish)["VolumesModifications"]) == found
