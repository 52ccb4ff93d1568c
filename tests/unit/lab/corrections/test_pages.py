from typing import Any

import pytest
from mypy_boto3_ec2 import EC2Client
from mypy_boto3_ec2.type_defs import DescribeVolumesResultTypeDef
from tests.unit.lab.asking import Loose, create, launch, refused

from ec2zfs.lab.api.local import LocalEc2


def ids(ec2: EC2Client, page: DescribeVolumesResultTypeDef) -> list[str]:
    return [volume["VolumeId"] for volume in page["Volumes"]]


def test_volumes_come_in_pages(local: LocalEc2, ec2: EC2Client) -> None:
    made = [create(ec2) for _ in range(12)]
    pages = list(ec2.get_paginator("describe_volumes").paginate(PaginationConfig={"PageSize": 5}))
    assert [len(page["Volumes"]) for page in pages] == [5, 5, 2]
    assert [each for page in pages for each in ids(ec2, page)] == made


def test_without_a_limit_all_come_at_once(local: LocalEc2, ec2: EC2Client) -> None:
    made = [create(ec2) for _ in range(12)]
    page = ec2.describe_volumes()
    assert ids(ec2, page) == made
    assert "NextToken" not in page


def test_instances_come_in_pages(local: LocalEc2, ec2: EC2Client) -> None:
    made = [launch(ec2) for _ in range(6)]
    pages = list(ec2.get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 5}))
    assert [len(page["Reservations"]) for page in pages] == [5, 1]
    assert [r["Instances"][0]["InstanceId"] for page in pages for r in page["Reservations"]] == made


def test_what_comes_meanwhile_does_not_move_the_pages(local: LocalEc2, ec2: EC2Client) -> None:
    made = [create(ec2) for _ in range(8)]
    first = ec2.describe_volumes(MaxResults=5)
    create(ec2)
    second = ec2.describe_volumes(MaxResults=5, NextToken=first["NextToken"])
    assert ids(ec2, first) + ids(ec2, second) == made


def test_filters_come_before_pages(local: LocalEc2, ec2: EC2Client) -> None:
    tag: Any = [{"ResourceType": "volume", "Tags": [{"Key": "pool", "Value": "cloud"}]}]
    for place in range(12):
        create(ec2, **({"TagSpecifications": tag} if place % 2 else {}))
    page = ec2.describe_volumes(MaxResults=5, Filters=[{"Name": "tag:pool", "Values": ["cloud"]}])
    assert len(page["Volumes"]) == 5


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        ({"NextToken": "never-given"}, "InvalidNextToken"),
        ({"MaxResults": 4}, "InvalidParameterValue"),
        ({"MaxResults": 5, "VolumeIds": ["vol-0123456789abcdef0"]}, "InvalidParameterCombination"),
    ],
)
def test_nonsense_is_refused(local: LocalEc2, ec2: EC2Client, wish: Loose, code: str) -> None:
    with refused(code):
        ec2.describe_volumes(**wish)
