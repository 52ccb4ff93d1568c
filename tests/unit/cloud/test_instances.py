"""Receivers at the local EC2: run once, found, awaited, ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from tests.fakes.local_ec2 import HASTY, IMAGE, ZONE, Served

from ec2zfs.cloud.images import find_image
from ec2zfs.cloud.instances import Instances
from ec2zfs.cloud.key_pairs import ensure_key_pair
from ec2zfs.cloud.patience import Patience
from ec2zfs.cloud.protocols import InstanceOrder
from ec2zfs.cloud.security_groups import SecurityGroup
from ec2zfs.errors import CloudError, NoCapacity, Refused
from ec2zfs.lab.api.settings import Settings, Times
from ec2zfs.lab.faults import Fault, FaultKind
from ec2zfs.model.instance import Instance, InstanceState, Market

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEl0yTHWVgsuGTOnyhzGrzRt4oQk8SfqFzUGVXk7EZgV"
LIMIT = 5.0


@pytest.fixture
def order(cloud: Served, pool: str) -> InstanceOrder:
    return InstanceOrder(
        image=find_image(cloud.ec2, IMAGE),
        type="m7a.medium",
        market=Market.ON_DEMAND,
        zone=ZONE,
        key_name=ensure_key_pair(cloud.ec2, pool, KEY),
        security_group_id=SecurityGroup(cloud.ec2, pool).ensure(),
        user_data="#!/bin/sh\n",
    )


@pytest.fixture
def instances(cloud: Served, pool: str) -> Instances:
    return Instances(cloud.ec2, pool, HASTY)


def running(instances: Instances, order: InstanceOrder) -> Instance:
    return instances.await_state(instances.run(order).id, InstanceState.RUNNING, LIMIT)


def ended(instances: Instances, instance: Instance) -> Instance:
    instances.terminate(instance.id)
    return instances.await_state(instance.id, InstanceState.TERMINATED, LIMIT)


def test_a_receiver_is_as_ordered(cloud: Served, pool: str, instances: Instances, order: InstanceOrder) -> None:
    receiver = running(instances, order)
    assert receiver == replace(receiver, pool=pool, type="m7a.medium", zone=ZONE, market=Market.ON_DEMAND)
    assert receiver.address.startswith("127.")
    assert instances.instances() == [receiver]
    [described] = cloud.ec2.describe_instances(InstanceIds=[receiver.id])["Reservations"][0]["Instances"]
    assert described["MetadataOptions"]["HttpTokens"] == "required"
    root = cloud.ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [receiver.id]}])
    [volume] = root["Volumes"]
    assert volume["Encrypted"]
    assert {"Key": "ec2zfs:role", "Value": "receiver-root"} in volume["Tags"]


def test_the_same_order_twice_is_one_receiver(instances: Instances, order: InstanceOrder) -> None:
    assert instances.run(order).id == instances.run(order).id
    assert running(instances, order).id == instances.run(order).id
    assert len(instances.instances()) == 1


def test_a_run_whose_answer_was_lost_makes_one_receiver(
    cloud: Served, instances: Instances, order: InstanceOrder
) -> None:
    cloud.local.faults.add(Fault(FaultKind.LOSE_ANSWER, "RunInstances"))
    receiver = instances.run(order)
    assert [each.id for each in instances.instances()] == [receiver.id]


def test_the_next_day_has_a_receiver_of_its_own(instances: Instances, order: InstanceOrder) -> None:
    ids = set()
    for _ in range(3):
        receiver = running(instances, order)
        ids.add(receiver.id)
        ended(instances, receiver)
    assert len(ids) == 3
    assert instances.instances() == []


def test_one_that_is_ending_is_listed_but_not_taken(
    cloud: Served, instances: Instances, order: InstanceOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud.local, "settings", Settings(times=Times(instance_terminate=1.0)))
    first = running(instances, order)
    instances.terminate(first.id)
    assert [each.state for each in instances.instances()] == [InstanceState.SHUTTING_DOWN]
    second = instances.run(order)
    assert second.id != first.id
    assert {each.id for each in instances.instances()} == {second.id, first.id}


def test_one_that_was_ordered_with_other_user_data_is_taken(instances: Instances, order: InstanceOrder) -> None:
    first = instances.run(order)
    assert instances.run(replace(order, user_data="#!/bin/bash\n")).id == first.id
    ended(instances, first)
    assert instances.run(replace(order, user_data="#!/bin/bash\n")).id != first.id


def test_spot_is_known_as_spot_and_cannot_be_stopped(instances: Instances, order: InstanceOrder) -> None:
    receiver = running(instances, replace(order, market=Market.SPOT))
    assert receiver.market is Market.SPOT
    with pytest.raises(CloudError, match="one-time Spot") as caught:
        instances.stop(receiver.id)
    assert caught.value.code == "UnsupportedOperation"


def test_without_spot_capacity_on_demand_can_follow(cloud: Served, instances: Instances, order: InstanceOrder) -> None:
    cloud.local.faults.add(Fault(FaultKind.FAIL, "RunInstances", code="SpotMaxPriceTooLow"))
    with pytest.raises(NoCapacity):
        instances.run(replace(order, market=Market.SPOT))
    assert running(instances, order).market is Market.ON_DEMAND


def test_user_data_has_a_limit(instances: Instances, order: InstanceOrder) -> None:
    with pytest.raises(Refused, match="16385 bytes"):
        instances.run(replace(order, user_data="é" * 8192 + "x"))
    assert instances.instances() == []


def test_a_kept_receiver_stops_and_starts(instances: Instances, order: InstanceOrder) -> None:
    receiver = running(instances, order)
    for _ in range(2):
        instances.stop(receiver.id)
    assert instances.await_state(receiver.id, InstanceState.STOPPED, LIMIT).id == receiver.id
    for _ in range(2):
        instances.start(receiver.id)
    assert instances.await_state(receiver.id, InstanceState.RUNNING, LIMIT).id == receiver.id


def test_terminating_twice_is_terminating_once(instances: Instances, order: InstanceOrder) -> None:
    receiver = running(instances, order)
    assert ended(instances, receiver).state is InstanceState.TERMINATED
    instances.terminate(receiver.id)
    instances.terminate("i-0123456789abcdef0")


@pytest.mark.parametrize("wanted", [InstanceState.RUNNING, InstanceState.STOPPED])
def test_what_is_ending_is_not_waited_for(instances: Instances, order: InstanceOrder, wanted: InstanceState) -> None:
    receiver = running(instances, order)
    ended(instances, receiver)
    with pytest.raises(CloudError, match=f"instance {receiver.id} is terminated"):
        instances.await_state(receiver.id, wanted, 60)


def test_waiting_ends_at_the_limit(instances: Instances, order: InstanceOrder) -> None:
    receiver = running(instances, order)
    with pytest.raises(CloudError, match=f"After 0.1 s instance {receiver.id} is running, not stopped"):
        instances.await_state(receiver.id, InstanceState.STOPPED, 0.1)
    with pytest.raises(CloudError, match="i-0123456789abcdef0 is unknown to EC2, not running"):
        instances.await_state("i-0123456789abcdef0", InstanceState.RUNNING, 0.1)


def test_the_host_key_stays_with_the_instance(instances: Instances, order: InstanceOrder) -> None:
    receiver = running(instances, order)
    assert receiver.host_key == ""
    instances.remember_host_key(receiver.id, KEY)
    assert [each.host_key for each in instances.instances()] == [KEY]
    with pytest.raises(Refused, match="a tag holds 256"):
        instances.remember_host_key(receiver.id, "x" * 257)


def test_the_console_is_read_as_text(
    cloud: Served, instances: Instances, order: InstanceOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "-----BEGIN SSH HOST KEY KEYS-----\nssh-ed25519 AAAA root@receiver\n-----END SSH HOST KEY KEYS-----\n"
    monkeypatch.setattr(cloud.local.room, "printed", text)
    assert instances.console_output(running(instances, order).id) == text


def test_an_older_console_is_read_where_the_latest_is_not_to_be_had(
    cloud: Served, instances: Instances, order: InstanceOrder
) -> None:
    receiver = running(instances, order)
    cloud.local.faults.add(Fault(FaultKind.FAIL, "GetConsoleOutput", code="UnsupportedOperation"))
    assert instances.console_output(receiver.id) == ""
    assert cloud.local.calls.counts()["GetConsoleOutput"] == 2


@pytest.mark.parametrize("action", ["StopInstances", "TerminateInstances", "GetConsoleOutput", "CreateTags"])
def test_a_new_instance_may_be_unknown_for_a_moment(
    cloud: Served, instances: Instances, order: InstanceOrder, action: str
) -> None:
    receiver = running(instances, order)
    cloud.local.calls.reset()
    cloud.local.faults.add(Fault(FaultKind.FAIL, action, code="InvalidInstanceID.NotFound", times=2))
    ask: dict[str, Callable[[str], object]] = {
        "StopInstances": instances.stop,
        "TerminateInstances": instances.terminate,
        "GetConsoleOutput": instances.console_output,
        "CreateTags": partial(instances.remember_host_key, key=KEY),
    }
    ask[action](receiver.id)
    assert cloud.local.calls.counts()[action] == 3


def test_pools_do_not_see_each_other(cloud: Served, instances: Instances, order: InstanceOrder) -> None:
    other = Instances(cloud.ec2, "other", HASTY)
    assert instances.run(order).id != other.run(order).id
    assert len(instances.instances()) == len(other.instances()) == 1


def test_patience_looks_once_even_without_time() -> None:
    looks: list[int] = []
    assert Patience(poll_seconds=0).until(lambda: looks.append(1), -1.0) is None
    assert looks == [1]
