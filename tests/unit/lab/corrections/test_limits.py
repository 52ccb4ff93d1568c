"""The corrections `volume_types` and `attachment_limit`."""

import pytest
from mypy_boto3_ec2 import EC2Client
from tests.unit.lab.asking import Loose, attach, available, create, refused, running, volume
from tests.unit.lab.conftest import Serve

from ec2zfs.lab.api.local import LocalEc2
from ec2zfs.lab.api.settings import Times


@pytest.mark.parametrize(
    ("kind", "size", "words"),
    [
        ("st1", 124, "minimum is 125GiB"),
        ("sc1", 1, "minimum is 125GiB"),
        ("sc1", 16_385, "maximum is 16384GiB"),
        ("gp3", 65_537, "maximum is 65536GiB"),
        ("io2", 3, "minimum is 4GiB"),
        ("standard", 1_025, "maximum is 1024GiB"),
    ],
)
def test_a_type_has_its_sizes(local: LocalEc2, ec2: EC2Client, kind: str, size: int, words: str) -> None:
    with refused("InvalidParameterValue", words):
        create(ec2, VolumeType=kind, Size=size, **({"Iops": 100} if kind == "io2" else {}))


@pytest.mark.parametrize(("kind", "size"), [("st1", 125), ("sc1", 16_384), ("gp3", 1), ("gp2", 16_384)])
def test_what_it_allows_is_made(local: LocalEc2, ec2: EC2Client, kind: str, size: int) -> None:
    assert create(ec2, VolumeType=kind, Size=size)


def test_a_modification_keeps_to_them_too(local: LocalEc2, ec2: EC2Client) -> None:
    small = available(ec2, Size=1)
    with refused("InvalidParameterValue", "minimum is 125GiB"):
        ec2.modify_volume(VolumeId=small, VolumeType="st1")


@pytest.mark.parametrize("wish", [{"Iops": 2_999}, {"Iops": 80_001}, {"Throughput": 2_001}])
def test_gp3_has_its_speeds(local: LocalEc2, ec2: EC2Client, wish: dict[str, int]) -> None:
    with refused("InvalidParameterValue"):
        create(ec2, VolumeType="gp3", **wish)


def test_gp3_is_of_the_usual_speed_unless_asked(local: LocalEc2, ec2: EC2Client) -> None:
    made = volume(ec2, create(ec2, VolumeType="gp3"))
    assert (made["Iops"], made["Throughput"]) == (3_000, 125)


def test_the_type_is_gp2_unless_asked(local: LocalEc2, ec2: EC2Client) -> None:
    made = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)
    assert made["VolumeType"] == "gp2"


@pytest.mark.parametrize(("kind", "most"), [("t3.medium", 27), ("m7a.medium", 32)])
def test_an_instance_type_takes_so_many_volumes(serving: Serve, ec2: EC2Client, kind: str, most: int) -> None:
    serving(Times.uniform(0))
    types: Loose = [kind]
    told: Loose = ec2.describe_instance_types(InstanceTypes=types)["InstanceTypes"][0]["EbsInfo"]
    assert told["MaximumEbsAttachments"] == most
    instance = running(ec2, InstanceType=kind)
    for place in range(most - 1):
        device = f"/dev/xvd{chr(ord('b') + place // 26)}{chr(ord('a') + place % 26)}"
        ec2.attach_volume(VolumeId=available(ec2), InstanceId=instance, Device=device)
    with refused("AttachmentLimitExceeded", str(most)):
        attach(ec2, available(ec2), instance)
