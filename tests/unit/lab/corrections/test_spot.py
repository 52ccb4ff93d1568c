from typing import Any

import pytest
from mypy_boto3_ec2 import EC2Client
from tests.unit.lab.asking import Loose, describe, refused, running, state, until

from ec2zfs.lab.api.local import LocalEc2

ONE_TIME: Any = {"MarketType": "spot", "SpotOptions": {"SpotInstanceType": "one-time"}}
PERSISTENT: Any = {
    "MarketType": "spot",
    "SpotOptions": {"SpotInstanceType": "persistent", "InstanceInterruptionBehavior": "stop"},
}


@pytest.mark.parametrize("market", [{"MarketType": "spot"}, ONE_TIME])
def test_a_one_time_spot_instance_cannot_be_stopped(local: LocalEc2, ec2: EC2Client, market: Loose) -> None:
    instance = running(ec2, InstanceMarketOptions=market)
    with refused("UnsupportedOperation", "one-time Spot"):
        ec2.stop_instances(InstanceIds=[instance])
    assert state(ec2, instance) == "running"


def test_a_persistent_one_can(local: LocalEc2, ec2: EC2Client) -> None:
    instance = running(ec2, InstanceMarketOptions=PERSISTENT)
    ec2.stop_instances(InstanceIds=[instance])
    until(lambda: state(ec2, instance) == "stopped")


def test_it_has_a_request(local: LocalEc2, ec2: EC2Client) -> None:
    tags: Any = [{"ResourceType": "spot-instances-request", "Tags": [{"Key": "pool", "Value": "cloud"}]}]
    instance = describe(ec2, running(ec2, InstanceMarketOptions=ONE_TIME, TagSpecifications=tags))
    request = ec2.describe_spot_instance_requests()["SpotInstanceRequests"][0]
    assert instance["InstanceLifecycle"] == "spot"
    assert instance["SpotInstanceRequestId"] == request["SpotInstanceRequestId"]
    assert (request["State"], request["Type"], request["InstanceId"]) == ("active", "one-time", instance["InstanceId"])
    assert request["Tags"] == [{"Key": "pool", "Value": "cloud"}]


def test_its_request_is_closed_when_it_is_gone(local: LocalEc2, ec2: EC2Client) -> None:
    instance = running(ec2, InstanceMarketOptions=ONE_TIME)
    ec2.terminate_instances(InstanceIds=[instance])
    closed: Any = [{"Name": "state", "Values": ["closed"]}]
    assert len(ec2.describe_spot_instance_requests(Filters=closed)["SpotInstanceRequests"]) == 1


def test_an_on_demand_instance_has_none(local: LocalEc2, ec2: EC2Client) -> None:
    instance = describe(ec2, running(ec2))
    assert "SpotInstanceRequestId" not in instance
    assert "InstanceLifecycle" not in instance


@pytest.mark.parametrize(
    "options",
    [
        {"SpotInstanceType": "persistent"},
        {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "stop"},
    ],
)
def test_contradictions_are_refused(local: LocalEc2, ec2: EC2Client, options: Loose) -> None:
    with refused("InvalidParameterCombination"):
        running(ec2, InstanceMarketOptions={"MarketType": "spot", "SpotOptions": options})
