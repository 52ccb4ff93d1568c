"""What receivers must do at EC2, whoever keeps them: EC2 (here the local one, through boto3) or the tests' memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count

import pytest
from tests.fakes.fuse import Fuse, Killed, Moment
from tests.fakes.instances import FakeInstances
from tests.fakes.local_ec2 import HASTY, IMAGE, OTHER_ZONE, REGION, ZONE, Served, served

from ec2zfs.cloud.images import find_image
from ec2zfs.cloud.instances import Instances
from ec2zfs.cloud.key_pairs import ensure_key_pair
from ec2zfs.cloud.protocols import Image, InstanceOrder, InstancesApi
from ec2zfs.cloud.security_groups import SecurityGroup
from ec2zfs.errors import CloudError, NoCapacity, Refused
from ec2zfs.lab.api.settings import Settings, Times
from ec2zfs.lab.client import LabClient
from ec2zfs.lab.faults import Fault, FaultKind
from ec2zfs.model.instance import Instance, InstanceState, Market

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEl0yTHWVgsuGTOnyhzGrzRt4oQk8SfqFzUGVXk7EZgV"
UNKNOWN = "i-0123456789abcdef0"
LIMIT = 10.0
TYPE = "m7a.medium"
RUNNING, STOPPED, TERMINATED = InstanceState.RUNNING, InstanceState.STOPPED, InstanceState.TERMINATED


@dataclass(frozen=True)
class World:
    """The pool's receivers under test, an order for one on demand, and what only EC2 can do.

    `slow`: every change of state takes long from now on. `without_spot`: the next order finds no spot capacity.
    `take_back`: EC2 takes a spot instance back that is still pending. `prints`: what an instance's console shows.
    """

    pool: str
    instances: InstancesApi
    order: InstanceOrder
    slow: Callable[[], None]
    without_spot: Callable[[], None]
    take_back: Callable[[Instance], None]
    prints: Callable[[Instance, str], None]


@pytest.fixture(scope="module")
def begin_world() -> Iterator[Callable[[str], World]]:
    """A world for each test: in the local EC2, a pool of its own, beside those of the others."""
    with served() as cloud:
        pools, quick = count(1), cloud.local.settings

        def begin(backend: str) -> World:
            if backend == "memory":
                return _in_memory()
            cloud.local.settings = quick
            cloud.local.faults.clear()
            return _at_the_local_ec2(cloud, f"cloud-{next(pools)}")

        yield begin


@pytest.fixture(params=["memory", "local EC2"])
def world(request: pytest.FixtureRequest, begin_world: Callable[[str], World]) -> World:
    return begin_world(request.param)


def _in_memory() -> World:
    ec2 = FakeInstances("cloud")
    return World(
        "cloud",
        ec2,
        InstanceOrder(
            Image("ami-1", "receiver", "x86_64", "/dev/xvda", 8), TYPE, Market.ON_DEMAND, ZONE, "key", "sg-1"
        ),
        slow=lambda: None,  # a state takes as long as nobody looks
        without_spot=lambda: ec2.without_capacity.add(Market.SPOT),
        take_back=lambda instance: ec2.late_failures.add(instance.market),
        prints=lambda instance, text: ec2.consoles.update({instance.id: [text]}),
    )


def _at_the_local_ec2(cloud: Served, pool: str) -> World:
    local = cloud.local
    key = ensure_key_pair(cloud.ec2, pool, KEY)
    group = SecurityGroup(cloud.ec2, pool, patience=HASTY).ensure()
    return World(
        pool,
        Instances(cloud.ec2, pool, HASTY),
        InstanceOrder(find_image(cloud.ec2, IMAGE), TYPE, Market.ON_DEMAND, ZONE, key, group),
        slow=lambda: setattr(local, "settings", Settings(REGION, Times.uniform(60.0))),
        without_spot=lambda: local.faults.add(Fault(FaultKind.FAIL, "RunInstances", code="SpotMaxPriceTooLow")),
        take_back=lambda instance: LabClient(local.endpoint).strike("interrupt-spot", instance.id, 0.0),
        prints=lambda _instance, text: setattr(local.room, "printed", text),
    )


def running(world: World, order: InstanceOrder | None = None) -> Instance:
    return world.instances.await_state(world.instances.run(order or world.order).id, RUNNING, LIMIT)


def stopped(world: World) -> Instance:
    instance = running(world)
    world.instances.stop(instance.id)
    return world.instances.await_state(instance.id, STOPPED, LIMIT)


def ended(world: World, instance: Instance) -> Instance:
    world.instances.terminate(instance.id)
    return world.instances.await_state(instance.id, TERMINATED, LIMIT)


def states(world: World) -> dict[str, InstanceState]:
    return {instance.id: instance.state for instance in world.instances.instances()}


def test_there_are_none_at_first(world: World) -> None:
    assert world.instances.instances() == []


@pytest.mark.parametrize("market", Market)
def test_a_receiver_is_as_ordered_and_comes_to_run(world: World, market: Market) -> None:
    order = replace(world.order, market=market)
    instance = running(world, order)
    assert (instance.pool, instance.type, instance.zone, instance.market) == (world.pool, TYPE, ZONE, market)
    assert (instance.image, instance.key_name, instance.host_key) == (order.image.id, order.key_name, "")
    assert instance.address
    assert world.instances.instances() == [instance]


def test_one_that_was_ordered_may_be_pending(world: World) -> None:
    world.slow()
    instance = world.instances.run(world.order)
    assert instance.state is InstanceState.PENDING
    assert states(world) == {instance.id: InstanceState.PENDING}


def test_the_same_order_twice_is_one_receiver(world: World) -> None:
    first = world.instances.run(world.order)
    assert world.instances.run(world.order).id == first.id
    assert running(world).id == first.id
    assert list(states(world)) == [first.id]


def test_a_receiver_whose_answer_was_lost_is_found_by_the_same_order(world: World) -> None:
    dying = Fuse(call=1, moment=Moment.AFTER).wrap(world.instances)
    with pytest.raises(Killed):
        dying.run(world.order)
    assert list(states(world)) == [running(world).id]


def test_what_the_script_of_the_first_boot_says_makes_no_other_receiver(world: World) -> None:
    first = running(world)
    assert world.instances.run(replace(world.order, user_data="#!/bin/sh\n")).id == first.id


@pytest.mark.parametrize(
    "other",
    [{"market": Market.SPOT}, {"type": "m7a.large"}, {"zone": OTHER_ZONE}],
    ids=["market", "type", "zone"],
)
def test_another_order_is_another_receiver(world: World, other: dict[str, str]) -> None:
    first = running(world)
    second = running(world, replace(world.order, **other))  # type: ignore[arg-type]
    assert second.id != first.id
    listed = world.instances.instances()
    assert {each.id for each in listed} == {first.id, second.id}
    assert listed == sorted(listed, key=lambda each: (each.launched, each.id), reverse=True)


def test_one_that_rests_is_what_its_order_gives(world: World) -> None:
    kept = stopped(world)
    again = world.instances.run(world.order)
    assert (again.id, again.state) == (kept.id, STOPPED)
    assert states(world) == {kept.id: STOPPED}


def test_one_that_was_terminated_is_not_listed_and_made_anew(world: World) -> None:
    ids = set()
    for _ in range(3):
        instance = running(world)
        ids.add(instance.id)
        ended(world, instance)
        assert world.instances.instances() == []
    assert len(ids) == 3


def test_one_that_is_ending_is_listed_but_not_given(world: World) -> None:
    first = running(world)
    world.slow()
    world.instances.terminate(first.id)
    assert states(world) == {first.id: InstanceState.SHUTTING_DOWN}
    assert world.instances.run(world.order).id != first.id


def test_without_spot_capacity_on_demand_can_follow(world: World) -> None:
    world.without_spot()
    with pytest.raises(NoCapacity):
        world.instances.run(replace(world.order, market=Market.SPOT))
    assert running(world).market is Market.ON_DEMAND


def test_user_data_has_a_limit(world: World) -> None:
    with pytest.raises(Refused, match="16385 bytes"):
        world.instances.run(replace(world.order, user_data="é" * 8192 + "x"))
    assert world.instances.instances() == []


# States


def test_a_kept_receiver_stops_and_starts(world: World) -> None:
    kept = stopped(world)
    world.instances.start(kept.id)
    started = world.instances.await_state(kept.id, RUNNING, LIMIT)
    assert started.address
    assert states(world) == {kept.id: RUNNING}


def test_stopping_what_is_stopped_is_success(world: World) -> None:
    kept = stopped(world)
    world.instances.stop(kept.id)
    assert states(world) == {kept.id: STOPPED}


def test_stopping_what_is_stopping_is_success(world: World) -> None:
    instance = running(world)
    world.slow()
    world.instances.stop(instance.id)
    world.instances.stop(instance.id)
    assert states(world) == {instance.id: InstanceState.STOPPING}


def test_starting_what_runs_is_success(world: World) -> None:
    instance = running(world)
    world.instances.start(instance.id)
    assert states(world) == {instance.id: RUNNING}


def test_starting_what_is_pending_is_success(world: World) -> None:
    world.slow()
    instance = world.instances.run(world.order)
    world.instances.start(instance.id)
    assert states(world) == {instance.id: InstanceState.PENDING}


def refused(ask: Callable[[str], object], instance_id: str) -> str:
    """The code with which EC2 refuses."""
    with pytest.raises(CloudError) as caught:
        ask(instance_id)
    return caught.value.code


def test_what_is_pending_cannot_be_stopped(world: World) -> None:
    world.slow()
    instance = world.instances.run(world.order)
    assert refused(world.instances.stop, instance.id) == "IncorrectInstanceState"
    assert states(world) == {instance.id: InstanceState.PENDING}


def test_what_is_stopping_cannot_be_started(world: World) -> None:
    instance = running(world)
    world.slow()
    world.instances.stop(instance.id)
    assert refused(world.instances.start, instance.id) == "IncorrectInstanceState"
    assert states(world) == {instance.id: InstanceState.STOPPING}


def test_what_is_terminated_stays_so(world: World) -> None:
    gone = ended(world, running(world))
    assert refused(world.instances.start, gone.id) == "IncorrectInstanceState"
    assert refused(world.instances.stop, gone.id) == "IncorrectInstanceState"
    world.instances.terminate(gone.id)
    assert world.instances.await_state(gone.id, TERMINATED, 0).state is TERMINATED


@pytest.mark.parametrize("make", [running, stopped])
def test_terminating_twice_is_terminating_once(world: World, make: Callable[[World], Instance]) -> None:
    instance = make(world)
    world.slow()
    world.instances.terminate(instance.id)
    world.instances.terminate(instance.id)
    assert states(world) == {instance.id: InstanceState.SHUTTING_DOWN}


def test_a_one_time_spot_machine_cannot_be_stopped(world: World) -> None:
    spot = running(world, replace(world.order, market=Market.SPOT))
    assert refused(world.instances.stop, spot.id) == "UnsupportedOperation"
    assert states(world) == {spot.id: RUNNING}
    assert ended(world, spot).state is TERMINATED


def test_what_ec2_does_not_know(world: World) -> None:
    for ask in (world.instances.start, world.instances.stop):
        assert refused(ask, UNKNOWN) == "InvalidInstanceID.NotFound"
    world.instances.terminate(UNKNOWN)
    assert world.instances.instances() == []


# Waiting


def test_a_state_that_is_there_needs_no_waiting(world: World) -> None:
    instance = running(world)
    assert world.instances.await_state(instance.id, RUNNING, 0) == instance


@pytest.mark.parametrize("wanted", [RUNNING, STOPPED])
def test_what_is_ending_is_not_waited_for(world: World, wanted: InstanceState) -> None:
    instance = running(world)
    world.slow()
    world.instances.terminate(instance.id)
    with pytest.raises(CloudError, match=f"instance {instance.id} is shutting-down"):
        world.instances.await_state(instance.id, wanted, 50)


def test_what_ends_instead_of_running_is_told_at_once(world: World) -> None:
    world.slow()
    spot = world.instances.run(replace(world.order, market=Market.SPOT))
    world.take_back(spot)
    with pytest.raises(CloudError, match=spot.id):
        world.instances.await_state(spot.id, RUNNING, 50)
    assert states(world).get(spot.id) in {None, InstanceState.SHUTTING_DOWN}


def test_waiting_ends_at_the_limit(world: World) -> None:
    instance = running(world)
    with pytest.raises(CloudError, match=f"After 0 s instance {instance.id} is running, not stopped"):
        world.instances.await_state(instance.id, STOPPED, 0)


def test_waiting_for_what_ec2_does_not_know_ends_at_the_limit(world: World) -> None:
    with pytest.raises(CloudError, match=f"instance {UNKNOWN} is unknown to EC2, not running"):
        world.instances.await_state(UNKNOWN, RUNNING, 0)


# What an instance tells


def test_the_host_key_stays_with_the_instance(world: World) -> None:
    instance = running(world)
    world.instances.remember_host_key(instance.id, KEY)
    assert world.instances.instances() == [replace(instance, host_key=KEY)]
    world.instances.stop(instance.id)
    assert world.instances.await_state(instance.id, STOPPED, LIMIT).host_key == KEY


def test_a_key_that_is_too_long_for_a_tag_is_refused(world: World) -> None:
    instance = running(world)
    with pytest.raises(Refused, match="has 257 characters; a tag holds 256"):
        world.instances.remember_host_key(instance.id, "x" * 257)
    assert world.instances.instances() == [instance]


@pytest.mark.parametrize("text", ["", "[    0.0] Linux\nip-10-0-0-7 login: "], ids=["nothing yet", "a boot"])
def test_the_console_is_read_as_text(world: World, text: str) -> None:
    instance = running(world)
    world.prints(instance, text)
    assert world.instances.console_output(instance.id) == text
