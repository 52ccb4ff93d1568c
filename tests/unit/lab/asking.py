"""Words for the tests of the local EC2: what is asked of it, in one line each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import InstanceTypeDef, VolumeTypeDef

# What boto3 types per call is left loose here: a test may ask for nonsense.
Loose = Any

ZONE, OTHER_ZONE = "us-east-1a", "us-east-1b"
IMAGE = "ami-0ec2f5000000000a1"


@contextmanager
def refused(code: str, words: str = ".") -> Iterator[None]:
    with pytest.raises(ClientError, match=words) as caught:
        yield
    assert caught.value.response["Error"]["Code"] == code


def until(condition: Callable[[], Any], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


def launch(ec2: EC2Client, **wishes: Loose) -> str:
    wishes = {"InstanceType": "m7a.medium", "ImageId": IMAGE, **wishes}
    wishes.setdefault("Placement", {"AvailabilityZone": ZONE})
    reservation = ec2.run_instances(MinCount=1, MaxCount=1, **wishes)
    return reservation["Instances"][0]["InstanceId"]


def running(ec2: EC2Client, **wishes: Loose) -> str:
    instance_id = launch(ec2, **wishes)
    until(lambda: state(ec2, instance_id) == "running")
    return instance_id


def describe(ec2: EC2Client, instance_id: str) -> InstanceTypeDef:
    return ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]


def state(ec2: EC2Client, instance_id: str) -> str:
    return str(describe(ec2, instance_id)["State"]["Name"])


def create(ec2: EC2Client, **wishes: Loose) -> str:
    wishes = {"AvailabilityZone": ZONE, "Size": 1, "VolumeType": "gp3", **wishes}
    return ec2.create_volume(**wishes)["VolumeId"]


def available(ec2: EC2Client, **wishes: Loose) -> str:
    volume_id = create(ec2, **wishes)
    until(lambda: volume(ec2, volume_id)["State"] == "available")
    return volume_id


def volume(ec2: EC2Client, volume_id: str) -> VolumeTypeDef:
    return ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]


def attachment(ec2: EC2Client, volume_id: str) -> str:
    """The state of a volume's attachment; empty when it has none."""
    attachments = volume(ec2, volume_id)["Attachments"]
    return str(attachments[0]["State"]) if attachments else ""


def attach(ec2: EC2Client, volume_id: str, instance_id: str, device: str = "/dev/sdf") -> None:
    ec2.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device=device)
    until(lambda: attachment(ec2, volume_id) == "attached")
