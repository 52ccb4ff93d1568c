from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import product

import pytest

from ec2zfs.errors import Refused
from ec2zfs.model.instance import Instance, InstanceState, InstanceType, Market
from ec2zfs.plan.receiver import (
    AwaitRunning,
    AwaitStopped,
    AwaitTerminated,
    ReceiverAction,
    RunInstance,
    StartInstance,
    StopInstance,
    TerminateInstance,
    UseRunning,
    WantedReceiver,
    check_type,
    plan_start,
    plan_stop,
)

ZONE, TYPE = "us-east-1a", "m7g.medium"
ON_DEMAND = WantedReceiver("cloud", TYPE, ZONE, Market.ON_DEMAND)
SPOT = replace(ON_DEMAND, market=Market.SPOT)
RUN = RunInstance(TYPE, ZONE, Market.ON_DEMAND)
RUN_SPOT = RunInstance(TYPE, ZONE, Market.SPOT)

ONE_TIME = "a one-time spot instance cannot be stopped and started"
STOOD_IN = "it stood in for a spot instance"
ONE_IS_ENOUGH = "another receiver is used, and one is enough"
OTHER_TYPE = "it is a t3.medium, and receiver.instance_type is m7g.medium"
NOBODY_KNOWS = "nobody learned its ssh host key at its first boot"
OTHER_IMAGE = "it was made from ami-1, and receiver.image is ami-2"
OTHER_KEY = "it lets in the ssh key k-1, and ours is k-2"
OTHER_ZONE = "it is in us-east-1b, and the volumes are in us-east-1a"


def an(
    id_: str,
    state: str,
    market: Market = Market.ON_DEMAND,
    type_: str = TYPE,
    zone: str = ZONE,
    day: int = 1,
) -> Instance:
    return Instance(
        id=id_,
        pool="cloud",
        type=type_,
        zone=zone,
        state=InstanceState(state),
        market=market,
        address="",
        host_key="ssh-ed25519 AAAA",
        launched=datetime(2026, 11, day, tzinfo=UTC),
    )


def end(id_: str, reason: str) -> list[ReceiverAction]:
    return [TerminateInstance(id_, reason), AwaitTerminated(id_)]


MADE = replace(an("i-1", "stopped"), image="ami-1", key_name="k-1")
AS_MADE = replace(ON_DEMAND, image="ami-1", key_name="k-1")

STARTS: dict[str, tuple[WantedReceiver, list[Instance], list[ReceiverAction]]] = {
    "nothing": (ON_DEMAND, [], [RUN]),
    "nothing, spot": (SPOT, [], [RUN_SPOT]),
    "terminated": (ON_DEMAND, [an("i-1", "terminated")], [RUN]),
    "shutting down": (SPOT, [an("i-1", "shutting-down", Market.SPOT)], [AwaitTerminated("i-1"), RUN_SPOT]),
    "running": (ON_DEMAND, [an("i-1", "running")], [UseRunning("i-1")]),
    "pending": (ON_DEMAND, [an("i-1", "pending")], [UseRunning("i-1")]),
    "spot left over by a crash": (SPOT, [an("i-1", "running", Market.SPOT)], [UseRunning("i-1")]),
    "spot left over, on demand wanted": (ON_DEMAND, [an("i-1", "running", Market.SPOT)], [UseRunning("i-1")]),
    "stand-in left over, spot wanted": (SPOT, [an("i-1", "running")], [UseRunning("i-1")]),
    "stopped": (ON_DEMAND, [an("i-1", "stopped")], [StartInstance("i-1")]),
    "stopping": (ON_DEMAND, [an("i-1", "stopping")], [AwaitStopped("i-1"), StartInstance("i-1")]),
    "stopped, spot wanted": (SPOT, [an("i-1", "stopped")], [*end("i-1", STOOD_IN), RUN_SPOT]),
    "stopped spot": (ON_DEMAND, [an("i-1", "stopped", Market.SPOT)], [*end("i-1", ONE_TIME), RUN]),
    "stopped, other type": (ON_DEMAND, [an("i-1", "stopped", type_="t3.medium")], [*end("i-1", OTHER_TYPE), RUN]),
    "stopping, other zone": (ON_DEMAND, [an("i-1", "stopping", zone="us-east-1b")], [*end("i-1", OTHER_ZONE), RUN]),
    "stopped, its key unknown": (ON_DEMAND, [replace(MADE, host_key="")], [*end("i-1", NOBODY_KNOWS), RUN]),
    "stopped, as made": (AS_MADE, [MADE], [StartInstance("i-1")]),
    "stopped, other image": (replace(AS_MADE, image="ami-2"), [MADE], [*end("i-1", OTHER_IMAGE), RUN]),
    "stopped, other ssh key": (replace(AS_MADE, key_name="k-2"), [MADE], [*end("i-1", OTHER_KEY), RUN]),
    "running, other image and ssh key": (
        replace(AS_MADE, image="ami-2", key_name="k-2"),
        [replace(MADE, state=InstanceState.RUNNING)],
        [UseRunning("i-1")],
    ),
    "two stopped: the younger": (
        ON_DEMAND,
        [an("i-2", "stopped", day=2), an("i-1", "stopped", day=1)],
        [*end("i-1", ONE_IS_ENOUGH), StartInstance("i-2")],
    ),
    "running beside stopped": (
        ON_DEMAND,
        [an("i-1", "running"), an("i-2", "stopped")],
        [*end("i-2", ONE_IS_ENOUGH), UseRunning("i-1")],
    ),
    "running beside shutting down": (
        ON_DEMAND,
        [an("i-1", "running"), an("i-2", "shutting-down")],
        [AwaitTerminated("i-2"), UseRunning("i-1")],
    ),
}


@pytest.mark.parametrize("case", STARTS)
def test_start(case: str) -> None:
    wanted, observed, actions = STARTS[case]
    assert plan_start(observed, wanted) == tuple(actions)


REFUSALS: dict[str, tuple[list[Instance], str]] = {
    "two running": (
        [an("i-1", "running"), an("i-2", "running", Market.SPOT)],
        "2 receivers of pool cloud are up: i-1 (running) and i-2 (running). Only one can hold the pool",
    ),
    "running and pending": ([an("i-1", "running"), an("i-2", "pending")], "i-1 (running) and i-2 (pending)"),
    "running, other type": (
        [an("i-1", "running", type_="t3.medium")],
        f"Receiver i-1 of pool cloud is running, but {OTHER_TYPE}. It may hold the pool, so it is left alone.",
    ),
    "pending, other zone": (
        [an("i-1", "pending", zone="us-east-1b")],
        f"Receiver i-1 of pool cloud is pending, but {OTHER_ZONE}.",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refused(case: str) -> None:
    observed, words = REFUSALS[case]
    with pytest.raises(Refused) as refused:
        plan_start(observed, ON_DEMAND)
    assert words in str(refused.value)
    assert "ec2zfs instance stop" in refused.value.hint


STOPS: dict[str, tuple[Market, list[Instance], list[ReceiverAction]]] = {
    "nothing": (Market.ON_DEMAND, [], []),
    "terminated": (Market.SPOT, [an("i-1", "terminated", Market.SPOT)], []),
    "running": (Market.ON_DEMAND, [an("i-1", "running")], [StopInstance("i-1"), AwaitStopped("i-1")]),
    "pending": (
        Market.ON_DEMAND,
        [an("i-1", "pending")],
        [AwaitRunning("i-1"), StopInstance("i-1"), AwaitStopped("i-1")],
    ),
    "stopping": (Market.ON_DEMAND, [an("i-1", "stopping")], [AwaitStopped("i-1")]),
    "stopped": (Market.ON_DEMAND, [an("i-1", "stopped")], []),
    "shutting down": (Market.SPOT, [an("i-1", "shutting-down", Market.SPOT)], [AwaitTerminated("i-1")]),
    "spot": (Market.SPOT, [an("i-1", "running", Market.SPOT)], end("i-1", ONE_TIME)),
    "spot, on demand configured by now": (
        Market.ON_DEMAND,
        [an("i-1", "pending", Market.SPOT)],
        end("i-1", ONE_TIME),
    ),
    "stand-in": (Market.SPOT, [an("i-1", "running")], end("i-1", STOOD_IN)),
    "stand-in, powered off by its dead-man": (Market.SPOT, [an("i-1", "stopped")], end("i-1", STOOD_IN)),
    "two running: asked first, awaited after": (
        Market.ON_DEMAND,
        [an("i-1", "running"), an("i-2", "running", Market.SPOT)],
        [
            StopInstance("i-1"),
            TerminateInstance("i-2", ONE_TIME),
            AwaitStopped("i-1"),
            AwaitTerminated("i-2"),
        ],
    ),
}


@pytest.mark.parametrize("case", STOPS)
def test_stop(case: str) -> None:
    market, observed, actions = STOPS[case]
    assert plan_stop(observed, market) == tuple(actions)


def carried_out(observed: list[Instance], actions: tuple[ReceiverAction, ...]) -> list[Instance]:
    """What EC2 would show once the actions are done."""
    ends: dict[type, str] = {
        StartInstance: "running",
        UseRunning: "running",
        AwaitRunning: "running",
        AwaitStopped: "stopped",
        AwaitTerminated: "terminated",
        StopInstance: "stopping",
        TerminateInstance: "shutting-down",
    }
    world = {instance.id: instance for instance in observed}
    for action in actions:
        if isinstance(action, RunInstance):
            world["i-new"] = an("i-new", "running", action.market, action.type, action.zone)
        else:
            world[action.id] = replace(world[action.id], state=InstanceState(ends[type(action)]))
    return list(world.values())


PAIRS = list(product(InstanceState, Market, (TYPE, "t3.medium")))


@pytest.mark.parametrize("wanted", [ON_DEMAND, SPOT], ids=["on demand", "spot"])
def test_any_two_instances_after_any_step(wanted: WantedReceiver) -> None:
    """However far a plan got, planning again ends with one receiver up, or none, and nothing spare."""
    for first, second in product(PAIRS, PAIRS):
        observed = [an(f"i-{n}", state, market, type_) for n, (state, market, type_) in enumerate((first, second))]
        try:
            start = plan_start(observed, wanted)
        except Refused:
            start = ()
        for done in range(len(start) + 1):
            partly = carried_out(observed, start[:done])
            if start:
                ready = carried_out(partly, plan_start(partly, wanted))
                assert [i.state for i in ready if i.state is not InstanceState.TERMINATED] == [InstanceState.RUNNING]
            ended = carried_out(partly, plan_stop(partly, wanted.market))
            assert {i.state for i in ended} <= {InstanceState.STOPPED, InstanceState.TERMINATED}


TYPES = {
    "2 GiB": (2048, "arm64", "has 2 GiB of memory; a receiver needs at least 4 GiB"),
    "a little under 4 GiB": (4095, "arm64", "GiB of memory; a receiver needs at least 4 GiB"),
    "image for another architecture": (4096, "x86_64", "is an arm64 machine, but receiver.image is made for x86_64"),
    "4 GiB": (4096, "arm64", ""),
    "8 GiB": (8192, "arm64", ""),
}


@pytest.mark.parametrize("case", TYPES)
def test_type(case: str) -> None:
    mib, image, words = TYPES[case]
    instance_type = InstanceType("c7g.medium", mib, 27, True, "arm64")
    if not words:
        check_type(instance_type, image)
        return
    with pytest.raises(Refused) as refused:
        check_type(instance_type, image)
    assert words in str(refused.value)
    assert "receiver.instance_type" in refused.value.hint
