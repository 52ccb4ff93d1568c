from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest
from tests.fakes.fuse import Fuse, Killed, Moment
from tests.fakes.instances import FakeInstances, FakeSecurityGroup, console_with
from tests.fakes.machine import FACTS, KEY, Machine

from ec2zfs.cloud.patience import Patience
from ec2zfs.cloud.protocols import Image, Ingress, InstanceOrder, InstancesApi, rule
from ec2zfs.errors import (
    CloudError,
    CredentialsError,
    Ec2zfsError,
    HostError,
    HostKeyChanged,
    MissingTool,
    NoCapacity,
    Refused,
)
from ec2zfs.execute.progress import Silent
from ec2zfs.execute.receiver import Access, Limits, Receiver, ReceiverCloud, ReceiverTerms
from ec2zfs.hosts.known_hosts import KnownHosts
from ec2zfs.model.instance import Instance, InstanceState, InstanceType, Market
from ec2zfs.plan.receiver import RunInstance, StopInstance, WantedReceiver

FIRST = "i-00000000000000001"
STREAMS = (28300, 28315)
SSH_RULE, STREAMS_RULE = rule("203.0.113.9/32", (22, 22)), rule("203.0.113.9/32", STREAMS)


class World:
    """EC2, the machines and the controller's state directory; `receiver()` is a new controller every time."""

    def __init__(self, directory: Path, market: Market = Market.ON_DEMAND) -> None:
        self.ec2 = FakeInstances()
        self.group = FakeSecurityGroup()
        self.known_hosts = KnownHosts(directory / "known_hosts")
        self.wanted = WantedReceiver("cloud", "m7g.medium", "us-east-1a", market)
        self.type = InstanceType("m7g.medium", 4096, 27, True, "arm64")
        self.subnet_zone: str | None = None
        self.facts = dict(FACTS)
        self.machines: list[Machine] = []
        self.next_machine: dict[str, object] = {}
        for number in range(1, 9):
            self.ec2.consoles[f"i-{number:017x}"] = ["", console_with(KEY)]

    def connect(self, instance: Instance) -> Machine:
        machine = Machine(f"receiver {instance.id}", self.facts, **self.next_machine)  # type: ignore[arg-type]
        self.machines.append(machine)
        return machine

    def receiver(self, instances: InstancesApi | None = None) -> Receiver:
        cloud = ReceiverCloud(
            instances or self.ec2,
            self.group,
            instance_type=lambda: self.type,
            image=lambda: Image("ami-1", "debian", "arm64", "/dev/xvda", 8),
            key_pair=lambda: "key-1",
            key_name=lambda: "key-1",
            subnet_zone=lambda: self.subnet_zone,
        )
        terms = ReceiverTerms(self.wanted, None, 22, 30, STREAMS)
        access = Access(self.known_hosts, self.connect, lambda: "203.0.113.9/32")
        patience = Patience(0.001, 5.0)
        limits = Limits(running=5, stopped=5, console=0.5, ssh=0.5, patience=patience)
        return Receiver(terms, cloud, access, Silent(), limits)

    def holds(self, state: str, market: Market = Market.ON_DEMAND, host_key: str = KEY) -> None:
        launched = datetime(2026, 11, 22, tzinfo=UTC)
        placed = (FIRST, "cloud", "m7g.medium", "us-east-1a", InstanceState(state), market)
        shape = (*placed, "", host_key, launched, "ami-1", "key-1")
        self.ec2.add(Instance(*shape))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_new_receiver_is_known_armed_and_checked_before_it_is_handed_out(world: World) -> None:
    host = world.receiver().start()
    assert host is world.machines[0]
    assert world.machines[0].did == ["ec2zfs-dead-man 1800", "ec2zfs-setup 30"]
    assert world.known_hosts.keys(FIRST) == (KEY,)
    assert world.ec2.all[FIRST].host_key == KEY
    assert world.group.history == ["open 203.0.113.9/32 22"]
    (order,) = world.ec2.orders
    assert (order.type, order.zone, order.market) == ("m7g.medium", "us-east-1a", Market.ON_DEMAND)
    assert (order.key_name, order.security_group_id, order.image.id) == ("key-1", "sg-1", "ami-1")
    assert "\nset -- 30\n" in order.user_data


def test_a_kept_receiver_stops_and_starts_under_the_same_key(world: World) -> None:
    world.receiver().start()
    world.receiver().stop()
    assert (world.ec2.states(), world.group.rules) == ({FIRST: "stopped"}, ())
    world.ec2.consoles[FIRST] = ["a second boot shows no keys"]
    world.receiver().start()
    assert world.ec2.states() == {FIRST: "running"}
    assert world.known_hosts.keys(FIRST) == (KEY,)
    assert world.machines[1].did == ["ec2zfs-dead-man 1800", "ec2zfs-setup 30"]


def test_a_spot_receiver_is_gone_afterwards_and_its_key_forgotten(tmp_path: Path) -> None:
    world = World(tmp_path, Market.SPOT)
    world.receiver().start()
    world.receiver().stop()
    assert (world.ec2.states(), world.group.rules) == ({FIRST: "terminated"}, ())
    assert world.known_hosts.keys(FIRST) == ()


@pytest.mark.parametrize("late", [False, True], ids=["refused at once", "ended while pending"])
def test_without_spot_capacity_a_machine_on_demand_stands_in_for_the_day(tmp_path: Path, late: bool) -> None:
    world = World(tmp_path, Market.SPOT)
    (world.ec2.late_failures if late else world.ec2.without_capacity).add(Market.SPOT)
    receiver = world.receiver()
    receiver.start()
    assert [order.market for order in world.ec2.orders] == [Market.SPOT, Market.ON_DEMAND]
    receiver.stop()
    assert set(world.ec2.states().values()) == {"terminated"}


def test_on_demand_has_no_other_market_to_turn_to(world: World) -> None:
    world.ec2.without_capacity = {Market.ON_DEMAND}
    with pytest.raises(NoCapacity):
        world.receiver().start()
    assert world.ec2.calls == ["run on-demand"]
    assert world.group.rules == ()


def test_what_a_crash_left_running_is_used_again(tmp_path: Path) -> None:
    world = World(tmp_path, Market.SPOT)
    world.holds("running", Market.SPOT)
    world.receiver().start()
    assert world.ec2.orders == []
    assert world.machines[0].name == f"receiver {FIRST}"


def test_stop_with_nothing_up_closes_the_group_and_can_be_repeated(world: World) -> None:
    world.group.open("203.0.113.9/32", 22)
    world.receiver().stop()
    world.receiver().stop()
    assert world.group.rules == ()
    assert world.ec2.calls == []


def test_the_group_is_closed_even_when_ec2_refuses_the_stop(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.holds("running")
    world.group.open("203.0.113.9/32", 22)

    def refuse(instance_id: str) -> None:
        raise CloudError(f"cannot stop {instance_id}")

    monkeypatch.setattr(world.ec2, "stop", refuse)
    with pytest.raises(CloudError, match="cannot stop"):
        world.receiver().stop()
    assert world.group.rules == ()


def test_stop_ends_what_was_run_a_moment_ago_though_ec2_does_not_list_it_yet(world: World) -> None:
    world.ec2.unseen_looks = 1000
    world.next_machine = {"deaf": 1_000_000}
    receiver = world.receiver()
    with pytest.raises(HostError, match="does not answer"):
        receiver.start()
    receiver.stop()
    assert world.ec2.states() == {FIRST: "stopped"}


def test_stop_ends_what_came_of_an_order_whose_answer_was_never_heard(world: World) -> None:
    world.ec2.unseen_looks = 3
    receiver = world.receiver(cast("InstancesApi", Interrupted(world.ec2)))
    with pytest.raises(KeyboardInterrupt):
        receiver.start()
    receiver.stop()
    assert world.ec2.states() == {FIRST: "stopped"}


class Interrupted:
    """EC2's instances; Ctrl-C comes between an order and its answer."""

    def __init__(self, inner: FakeInstances) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def run(self, order: InstanceOrder) -> Instance:
        self._inner.run(order)
        raise KeyboardInterrupt


def unfit(**facts: str) -> dict[str, str]:
    return {**FACTS, **facts}


# what is wrong with the machine, the error, its words, what had been done before
UNFIT: dict[str, tuple[dict[str, str], type[Ec2zfsError], str]] = {
    "no ZFS": (unfit(zfs=""), MissingTool, "(Debian GNU/Linux 12) has no ZFS"),
    "no ZFS tools": (unfit(zpool=""), MissingTool, "has no ZFS"),
    "no cryptsetup": (unfit(cryptsetup=""), MissingTool, "has no LUKS"),
    "no dm-crypt": (unfit(dm_crypt=""), MissingTool, "has no LUKS"),
    "ZFS of Debian 12": (unfit(zfs="2.1.11-1+deb12u1"), Refused, "has ZFS 2.1.11-1+deb12u1, which can damage a pool"),
    "ZFS of Ubuntu 24.04": (unfit(zfs="2.2.2-0ubuntu9"), Refused, "it must be 2.2.8 or later, or 2.3.0 or later"),
    "swap": (unfit(swap="1"), Refused, "keys could reach its disk"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_a_machine_on_which_the_pool_would_not_be_safe(case: str, world: World) -> None:
    facts, error, words = UNFIT[case]
    world.facts = facts
    with pytest.raises(error) as refused:
        world.receiver().start()
    assert words in str(refused.value)
    assert world.machines[0].did == ["ec2zfs-dead-man 1800", "ec2zfs-setup 30", "close"]
    assert world.group.rules == ()


def test_a_type_that_does_not_fit_is_refused_before_anything_is_asked_of_ec2(world: World) -> None:
    world.type = replace(world.type, memory_mib=2048)
    with pytest.raises(Refused, match="needs at least 4 GiB"):
        world.receiver().start()
    assert (world.ec2.calls, world.group.history) == ([], [])


def test_a_subnet_in_another_zone_is_refused_before_anything_is_asked_of_ec2(world: World) -> None:
    world.subnet_zone = "us-east-1f"
    with pytest.raises(Refused, match=r"receiver.subnet_id is in us-east-1f, but the volumes are in us-east-1a"):
        world.receiver().start()
    assert (world.ec2.calls, world.group.history) == ([], [])


def test_a_machine_that_shows_another_key_is_never_spoken_to(world: World) -> None:
    world.next_machine = {"changed": True}
    with pytest.raises(HostKeyChanged):
        world.receiver().start()
    assert world.machines[0].did == ["close"]
    assert world.group.rules == ()


def test_a_console_without_keys_leaves_nothing_open(world: World) -> None:
    world.ec2.consoles[FIRST] = [""]
    with pytest.raises(HostError, match="showed no ssh host keys"):
        world.receiver().start()
    assert (world.machines, world.group.rules) == ([], ())


def test_the_first_failure_is_told_when_the_group_cannot_be_closed(world: World) -> None:
    world.ec2.without_capacity = {Market.ON_DEMAND}
    world.group.refusal = CloudError("cannot close")
    with pytest.raises(NoCapacity):
        world.receiver().start()


def test_plans_and_status_change_nothing(world: World) -> None:
    receiver = world.receiver()
    assert receiver.starting() == (RunInstance("m7g.medium", "us-east-1a", Market.ON_DEMAND),)
    world.holds("running", host_key=KEY)
    world.known_hosts.pin(FIRST, [KEY])
    assert receiver.stopping()[0] == StopInstance(FIRST)
    status = receiver.status()
    assert ([each.id for each in status.instances], status.ingress, list(status.pinned)) == ([FIRST], (), [FIRST])
    assert (world.ec2.calls, world.group.history) == ([], [])


def test_reach_opens_the_group_for_the_receiver_that_is_up(world: World) -> None:
    with pytest.raises(HostError, match="No receiver of pool cloud is running"):
        world.receiver().reach()
    world.holds("running", host_key=KEY)
    receiver = world.receiver()
    assert receiver.reach() is world.machines[0]
    assert world.known_hosts.keys(FIRST) == (KEY,)
    assert world.group.history == ["open 203.0.113.9/32 22"]
    receiver.leave()
    assert world.group.rules == ()


def test_a_command_beside_another_leaves_the_group_to_it(world: World) -> None:
    world.receiver().start()
    beside = world.receiver()
    beside.reach()
    beside.leave()
    assert world.group.rules != ()


def test_streams_are_admitted_for_the_time_of_a_block(world: World) -> None:
    receiver = world.receiver()
    receiver.start()
    seen: list[tuple[Ingress, ...]] = []

    def fail() -> None:
        with receiver.admitting():
            seen.append(world.group.rules)
            raise CloudError("in the midst")

    with pytest.raises(CloudError, match="midst"):
        fail()
    assert seen == [(SSH_RULE, STREAMS_RULE)]
    assert world.group.rules == (SSH_RULE,)


def test_a_command_beside_streams_does_not_close_them_out_and_the_next_start_does(world: World) -> None:
    world.receiver().start()
    world.group.admit("203.0.113.9/32", STREAMS)
    world.receiver().reach()
    assert STREAMS_RULE in world.group.rules
    world.receiver().start()
    assert world.group.rules == (SSH_RULE,)


def test_ports_that_could_not_be_closed_are_closed_by_whoever_leaves(world: World) -> None:
    world.receiver().start()
    beside = world.receiver()
    beside.reach()
    with beside.admitting():
        world.group.refusal = CloudError("EC2 does not answer")
    assert STREAMS_RULE in world.group.rules
    world.group.refusal = None
    beside.leave()
    assert world.group.rules == ()


def test_an_order_that_iam_refuses_is_not_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_order: InstanceOrder) -> Instance:
        raise CredentialsError("IAM does not allow ec2:RunInstances")

    monkeypatch.setattr(world.ec2, "run", refuse)
    receiver = world.receiver()
    with pytest.raises(CredentialsError):
        receiver.start()
    began = time.monotonic()
    receiver.stop()
    assert time.monotonic() - began < 1


WORLDS = {
    "nothing": "",
    "a kept one": "stopped",
    "one that is stopping": "stopping",
    "a leftover": "running",
    "one that goes": "shutting-down",
}


@pytest.mark.parametrize("market", Market)
@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize("before", WORLDS)
def test_killed_at_any_call_and_run_again_there_is_one_receiver_and_then_none(
    before: str, moment: Moment, market: Market, tmp_path: Path
) -> None:
    calls = 1
    killed = True
    while killed:
        world = World(tmp_path / str(calls), market)
        world.ec2.unseen_looks = 1
        if WORLDS[before]:
            world.holds(WORLDS[before], market)
        killed = dies_at(world, Fuse(calls, moment), "start")
        world.receiver().start()
        up = [id_ for id_, state in world.ec2.states().items() if state == "running"]
        assert len(up) == 1, calls
        dies_at(world, Fuse(calls, moment), "stop")
        world.receiver().stop()
        left = {id_: state for id_, state in world.ec2.states().items() if state != "terminated"}
        assert left == ({} if market is Market.SPOT else {up[0]: "stopped"}), calls
        assert world.group.rules == ()
        calls += 1
    assert calls >= 6


def dies_at(world: World, fuse: Fuse, verb: str) -> bool:
    """Run `start` or `stop` in a controller that dies as the fuse says; whether it did."""
    group = world.group
    world.group = fuse.wrap(world.group)
    try:
        getattr(world.receiver(fuse.wrap(world.ec2)), verb)()
    except Killed:
        return True
    finally:
        world.group = group
    return False
