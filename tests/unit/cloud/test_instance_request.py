"""What RunInstances is told for each order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ec2zfs.cloud.instance_request import run_request
from ec2zfs.cloud.protocols import Image, InstanceOrder
from ec2zfs.model.instance import Market

IMAGE = Image("ami-1", "receiver", "x86_64", "/dev/xvda", root_gib=4)
ON_DEMAND = InstanceOrder(IMAGE, "m7g.medium", Market.ON_DEMAND, "us-east-1a", "key", "sg-1", user_data="#!/bin/sh\n")
SPOT = replace(ON_DEMAND, market=Market.SPOT)


def asked(order: InstanceOrder, attempt: int = 0) -> dict[str, Any]:
    return dict(run_request(order, "cloud", attempt))


@pytest.mark.parametrize("order", [ON_DEMAND, SPOT])
def test_every_receiver_is_made_safe(order: InstanceOrder) -> None:
    request = asked(order)
    assert request["MetadataOptions"] == {
        "HttpTokens": "required",
        "HttpPutResponseHopLimit": 1,
        "HttpEndpoint": "enabled",
    }
    assert request["HibernationOptions"] == {"Configured": False}
    assert (request["MinCount"], request["MaxCount"]) == (1, 1)
    assert "IamInstanceProfile" not in request


def test_on_demand_stops_when_it_shuts_itself_down() -> None:
    request = asked(ON_DEMAND)
    assert request["InstanceInitiatedShutdownBehavior"] == "stop"
    assert "InstanceMarketOptions" not in request


def test_spot_is_one_time_and_ends_when_it_shuts_itself_down() -> None:
    request = asked(SPOT)
    assert request["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert request["InstanceMarketOptions"] == {
        "MarketType": "spot",
        "SpotOptions": {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"},
    }


@pytest.mark.parametrize(
    ("kind", "burstable"),
    [("t3.medium", True), ("t3a.large", True), ("t4g.medium", True), ("m7g.medium", False), ("trn1.2xlarge", False)],
)
def test_burstable_types_get_no_surplus_credits(kind: str, burstable: bool) -> None:
    request = asked(replace(ON_DEMAND, type=kind))
    assert request.get("CreditSpecification") == ({"CpuCredits": "standard"} if burstable else None)


@pytest.mark.parametrize(("asked_gib", "image_gib", "size"), [(8, 4, 8), (4, 8, 8), (8, 0, 8)])
def test_the_root_volume_is_encrypted_and_goes_with_the_instance(asked_gib: int, image_gib: int, size: int) -> None:
    order = replace(ON_DEMAND, root_gib=asked_gib, image=replace(IMAGE, root_gib=image_gib))
    assert asked(order)["BlockDeviceMappings"] == [
        {
            "DeviceName": "/dev/xvda",
            "Ebs": {"VolumeSize": size, "VolumeType": "gp3", "Encrypted": True, "DeleteOnTermination": True},
        }
    ]


def test_instance_and_root_volume_are_tagged_from_the_start() -> None:
    tagged = {
        each["ResourceType"]: {tag["Key"]: tag["Value"] for tag in each["Tags"]}
        for each in asked(ON_DEMAND)["TagSpecifications"]
    }
    assert tagged == {
        "instance": {"ec2zfs:pool": "cloud", "ec2zfs:role": "receiver", "Name": "ec2zfs cloud receiver"},
        "volume": {"ec2zfs:pool": "cloud", "ec2zfs:role": "receiver-root", "Name": "ec2zfs cloud receiver root"},
    }


def test_the_zone_is_the_volumes_or_the_subnets() -> None:
    assert asked(ON_DEMAND)["Placement"] == {"AvailabilityZone": "us-east-1a"}
    in_subnet = asked(replace(ON_DEMAND, subnet_id="subnet-1"))
    assert in_subnet["SubnetId"] == "subnet-1"
    assert "Placement" not in in_subnet


def test_a_fallback_is_another_order_and_a_repetition_the_same() -> None:
    orders = [
        ON_DEMAND,
        SPOT,
        replace(SPOT, type="m7g.large"),
        replace(SPOT, zone="us-east-1b"),
    ]
    tokens = [asked(order)["ClientToken"] for order in orders]
    assert len(set(tokens)) == len(tokens)
    assert [asked(order)["ClientToken"] for order in orders] == tokens
    assert asked(ON_DEMAND, attempt=1)["ClientToken"] not in tokens
    assert asked(replace(ON_DEMAND, user_data=""))["ClientToken"] == tokens[0]
