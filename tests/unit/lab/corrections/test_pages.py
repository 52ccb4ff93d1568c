import secrets
from collections.abc import Callable
from typing import Any

import pytest
from mypy_boto3_ec2 import EC2Client
from mypy_boto3_ec2.type_defs import DescribeVolumesResultTypeDef
from tests.unit.lab.asking import IMAGE, Loose, available, create, launch, refused

from ec2zfs.lab.api.corrections.pages import ACTIONS
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


def test_a_page_of_instances_counts_instances(local: LocalEc2, ec2: EC2Client) -> None:
    wish: Any = {"InstanceType": "m7a.medium", "ImageId": IMAGE, "MinCount": 4, "MaxCount": 4}
    made = [ec2.run_instances(**wish) for _ in range(2)]
    pages = list(ec2.get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 5}))
    shown = [[(r["ReservationId"], len(r["Instances"])) for r in page["Reservations"]] for page in pages]
    first, second = (reservation["ReservationId"] for reservation in made)
    assert shown == [[(first, 4), (second, 1)], [(second, 3)]]
    whole = ec2.describe_instances()["Reservations"][1]["Instances"]
    parts = [*pages[0]["Reservations"][1]["Instances"], *pages[1]["Reservations"][0]["Instances"]]
    assert [each["InstanceId"] for each in whole] == [each["InstanceId"] for each in parts]


def modified(ec2: EC2Client) -> None:
    ec2.modify_volume(VolumeId=available(ec2), Size=2)


def snapshot(ec2: EC2Client) -> None:
    ec2.create_snapshot(VolumeId=available(ec2))


def spot(ec2: EC2Client) -> None:
    launch(ec2, InstanceMarketOptions={"MarketType": "spot"})


def image(ec2: EC2Client) -> None:
    ec2.register_image(Name=secrets.token_hex(4))


def security_group(ec2: EC2Client) -> None:
    ec2.create_security_group(GroupName=secrets.token_hex(4), Description="one of many")


# How one more of what an action describes is made.
MAKERS: dict[str, Callable[[EC2Client], object]] = {
    "describe_volumes": create,
    "describe_volumes_modifications": modified,
    "describe_instances": launch,
    "describe_snapshots": snapshot,
    "describe_spot_instance_requests": spot,
    "describe_instance_types": lambda _: None,
    "describe_images": image,
    "describe_security_groups": security_group,
}

# Of instance types there are hundreds.
WISHES: Loose = {"describe_instance_types": {"Filters": [{"Name": "instance-type", "Values": ["m7a.*"]}]}}


def test_every_action_has_its_maker() -> None:
    assert set(MAKERS) == set(ACTIONS)


@pytest.mark.parametrize("action", MAKERS)
def test_every_action_comes_in_pages(local: LocalEc2, ec2: EC2Client, action: str) -> None:
    client: Loose = ec2
    for _ in range(7):
        MAKERS[action](ec2)
    assert local.transitions.settled(5.0)
    items, wish = ACTIONS[action].items, WISHES.get(action, {})
    every = getattr(client, action)(**wish)[items]
    pages = client.get_paginator(action).paginate(**wish, PaginationConfig={"PageSize": 5})
    shown = [page[items] for page in pages]
    assert [len(page) for page in shown[:-1]] == [5] * (len(shown) - 1)
    assert len(shown) > 1
    assert [each for page in shown for each in page] == every


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
