"""The lab's own questions, through the client that the command line uses."""

from __future__ import annotations

import pytest
from mypy_boto3_ec2 import EC2Client
from tests.unit.lab.asking import attach, available, create, describe, refused, running, state, until
from tests.unit.lab.conftest import Serve
from tests.unit.lab.corrections.test_spot import ONE_TIME, PERSISTENT

from ec2zfs.lab.api.local import LocalEc2
from ec2zfs.lab.api.room import NoMachines
from ec2zfs.lab.client import LabClient, LabRefused
from ec2zfs.lab.faults import Fault, FaultKind


@pytest.fixture
def lab(local: LocalEc2) -> LabClient:
    return LabClient(local.endpoint)


def test_faults_are_ordered_and_taken_back(lab: LabClient, ec2: EC2Client) -> None:
    fault = Fault(FaultKind.FAIL, "CreateVolume", code="RequestLimitExceeded", times=2)
    lab.add(fault)
    assert lab.faults() == [fault]
    with refused("RequestLimitExceeded"):
        create(ec2)
    lab.clear_faults()
    assert lab.faults() == []
    assert create(ec2)


def test_calls_are_reported(lab: LabClient, ec2: EC2Client) -> None:
    ec2.describe_volumes()
    assert lab.counts() == {"DescribeVolumes": 1}
    assert [(call["action"], call["status"]) for call in lab.calls()] == [("DescribeVolumes", 200)]
    lab.reset_calls()
    assert lab.counts() == {}


def test_what_there_is(lab: LabClient, ec2: EC2Client) -> None:
    instance, data = running(ec2), available(ec2)
    attach(ec2, data, instance)
    status = lab.status()
    assert [(each["id"], each["state"]) for each in status["instances"]] == [(instance, "running")]
    volumes = {each["id"]: (each["state"], each["instance"], each["attachment"]) for each in status["volumes"]}
    assert volumes[data] == ("in-use", instance, "attached")


def test_a_machine_that_dies_ends_as_ec2_says(serving: Serve, ec2: EC2Client) -> None:
    lab = LabClient(serving(room=NoMachines()).endpoint)
    instance = running(ec2)
    lab.strike("kill-machine", instance)
    until(lambda: state(ec2, instance) == "stopped")
    assert describe(ec2, instance)["StateReason"]["Code"] == "Server.InternalError"


@pytest.mark.parametrize(
    ("market", "action", "end"), [(ONE_TIME, "terminate", "terminated"), (PERSISTENT, "stop", "stopped")]
)
def test_a_spot_instance_is_interrupted(
    local: LocalEc2, lab: LabClient, ec2: EC2Client, market: object, action: str, end: str
) -> None:
    instance = running(ec2, InstanceMarketOptions=market)
    lab.strike("interrupt-spot", instance, 0.3)
    assert local.marks.interruption[instance]["action"] == action
    assert state(ec2, instance) == "running"
    until(lambda: state(ec2, instance) == end)
    assert describe(ec2, instance)["StateReason"]["Code"] == "Server.SpotInstanceTermination"


def test_a_network_drops_and_comes_back(serving: Serve, ec2: EC2Client) -> None:
    class Cables(NoMachines):
        up = True

        def connect_network(self, instance_id: str, *, up: bool) -> None:
            self.up = up

    room = Cables()
    lab = LabClient(serving(room=room).endpoint)
    instance = running(ec2)
    lab.strike("drop-network", instance)
    assert not room.up
    lab.strike("restore-network", instance)
    assert room.up


def test_a_rebalance_is_recommended(local: LocalEc2, lab: LabClient, ec2: EC2Client) -> None:
    instance = running(ec2, InstanceMarketOptions=ONE_TIME)
    lab.strike("recommend-rebalance", instance)
    assert local.marks.rebalance[instance].endswith("Z")


def test_nonsense_is_refused_with_its_reason(lab: LabClient, ec2: EC2Client) -> None:
    instance = running(ec2)
    with pytest.raises(LabRefused, match="not a spot instance"):
        lab.strike("interrupt-spot", instance)
    with pytest.raises(LabRefused, match="i-1"):
        lab.strike("kill-machine", "i-1")
    with pytest.raises(LabRefused, match="no such fault: flood"):
        lab.strike("flood", instance)


def test_a_lab_that_is_gone_is_said_so() -> None:
    with pytest.raises(LabRefused, match="does not answer"):
        LabClient("http://127.0.0.1:1").status()
