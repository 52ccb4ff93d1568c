"""What must happen to the instances of a pool so that one receiver is up, or none is. Pure: instances in, actions out.

Truth is what EC2 says now, so a crash at any moment leaves nothing that the next plan does not see: what still runs and
fits is used again, what cannot be used is named or ended. It never picks between two running machines, because it
cannot know which of them holds the pool, and never ends a running machine in order to replace it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ec2zfs.errors import Refused
from ec2zfs.model.instance import Instance, InstanceState, InstanceType, Market

LEAST_MEMORY_MIB = 4096

UP = frozenset({InstanceState.PENDING, InstanceState.RUNNING})


@dataclass(frozen=True)
class WantedReceiver:
    """The receiver that the configuration asks for; `zone` is that of the volumes.

    `image` is an image's id and `key_name` EC2's name of our ssh key; empty while nobody knows.
    """

    pool: str
    type: str
    zone: str
    market: Market
    image: str = ""
    key_name: str = ""


@dataclass(frozen=True)
class RunInstance:
    """A new instance is made; when the market is spot and has none to spare, on demand."""

    type: str
    zone: str
    market: Market

    def __str__(self) -> str:
        return f"run a new {self.type} in {self.zone}, {self.market}"


@dataclass(frozen=True)
class StartInstance:
    """The kept instance is started again."""

    id: str

    def __str__(self) -> str:
        return f"start {self.id}"


@dataclass(frozen=True)
class UseRunning:
    """An instance that is up already, from a run that broke off or by the operator's hand, is the receiver."""

    id: str

    def __str__(self) -> str:
        return f"use {self.id}, which is up already"


@dataclass(frozen=True)
class AwaitRunning:
    """A pending instance cannot be stopped before it runs."""

    id: str

    def __str__(self) -> str:
        return f"wait until {self.id} is running"


@dataclass(frozen=True)
class StopInstance:
    """The instance is kept for the next day; only its root disk is paid for."""

    id: str

    def __str__(self) -> str:
        return f"stop {self.id}"


@dataclass(frozen=True)
class AwaitStopped:
    """A stopping instance can be started only once it has stopped."""

    id: str

    def __str__(self) -> str:
        return f"wait until {self.id} has stopped"


@dataclass(frozen=True)
class TerminateInstance:
    """The instance is given back, for the reason told. Its data volumes stay (fact 9)."""

    id: str
    reason: str

    def __str__(self) -> str:
        return f"terminate {self.id}: {self.reason}"


@dataclass(frozen=True)
class AwaitTerminated:
    """Volumes come free only when the instance that held them is gone."""

    id: str

    def __str__(self) -> str:
        return f"wait until {self.id} is gone"


ReceiverAction = (
    RunInstance
    | StartInstance
    | UseRunning
    | AwaitRunning
    | StopInstance
    | AwaitStopped
    | TerminateInstance
    | AwaitTerminated
)


def check_type(instance_type: InstanceType, image_architecture: str) -> None:
    """Refuse a type that the image does not run on, or on which ZFS's receive would lack memory (facts 24, 53)."""
    if instance_type.memory_mib < LEAST_MEMORY_MIB:
        raise Refused(
            f"A {instance_type.name} has {instance_type.memory_mib / 1024:g} GiB of memory; "
            f"a receiver needs at least {LEAST_MEMORY_MIB // 1024} GiB, or ZFS can run out of it during a receive.",
            hint="Choose a larger receiver.instance_type, such as m7g.medium.",
        )
    if instance_type.architecture != image_architecture:
        raise Refused(
            f"A {instance_type.name} is an {instance_type.architecture} machine, "
            f"but receiver.image is made for {image_architecture}.",
            hint="Choose another receiver.instance_type, or the image for its architecture.",
        )


def check_subnet(zone: str | None, wanted: str) -> None:
    """Refuse a subnet in another zone than the volumes', where a receiver could not have them; None is no subnet."""
    if zone not in (None, wanted):
        raise Refused(
            f"receiver.subnet_id is in {zone}, but the volumes are in {wanted} (aws.zone).",
            hint=f"Name a subnet in {wanted}, or leave receiver.subnet_id out for the default one.",
        )


def plan_start(observed: Sequence[Instance], wanted: WantedReceiver) -> tuple[ReceiverAction, ...]:
    """The actions after which one receiver of the pool is up, in order; the last one names it.

    `observed`: every instance of the pool, in any state. Raises `Refused` when two are up, or when the one that is up
    is of another type or in another zone than is wanted; nothing would be changed then.
    """
    up = [instance for instance in observed if instance.state in UP]
    if len(up) > 1:
        raise _conflict(up, wanted)
    if up:
        _check_shape(up[0], wanted)
        return (*_clear(observed, None, wanted), UseRunning(up[0].id))
    resting = [instance for instance in observed if _startable(instance, wanted)]
    if not resting:
        return (*_clear(observed, None, wanted), RunInstance(wanted.type, wanted.zone, wanted.market))
    kept = max(resting, key=lambda instance: (instance.launched, instance.id))
    stopping = (AwaitStopped(kept.id),) if kept.state is InstanceState.STOPPING else ()
    return (*_clear(observed, kept, wanted), *stopping, StartInstance(kept.id))


def plan_stop(observed: Sequence[Instance], market: Market) -> tuple[ReceiverAction, ...]:
    """The actions after which no instance of the pool is up: first every request, then the waiting.

    `market` is the configured one: with `spot`, an instance on demand is only the stand-in for a spot machine that
    could not be had, and is given back like one (fact 15).
    """
    requests: list[ReceiverAction] = []
    waits: list[ReceiverAction] = []
    for instance in observed:
        asked, awaited = _ending(instance, market)
        requests += asked
        waits += awaited
    return (*requests, *waits)


def _ending(instance: Instance, market: Market) -> tuple[list[ReceiverAction], list[ReceiverAction]]:
    stopped, gone = AwaitStopped(instance.id), AwaitTerminated(instance.id)
    one_time = _one_time(instance, market)
    match instance.state:
        case InstanceState.TERMINATED:
            return [], []
        case InstanceState.SHUTTING_DOWN:
            return [], [gone]
        case _ if one_time:
            return [TerminateInstance(instance.id, one_time)], [gone]
        case InstanceState.STOPPED:
            return [], []
        case InstanceState.STOPPING:
            return [], [stopped]
        case InstanceState.PENDING:
            return [AwaitRunning(instance.id), StopInstance(instance.id)], [stopped]
        case InstanceState.RUNNING:
            return [StopInstance(instance.id)], [stopped]


def _one_time(instance: Instance, market: Market) -> str:
    """Why the instance is not one to keep; empty if it is."""
    if instance.market is Market.SPOT:
        return "a one-time spot instance cannot be stopped and started"
    if market is Market.SPOT:
        return "it stood in for a spot instance"
    return ""


def _startable(instance: Instance, wanted: WantedReceiver) -> bool:
    resting = instance.state in (InstanceState.STOPPED, InstanceState.STOPPING)
    return resting and not _unwanted(instance, wanted)


def _unwanted(instance: Instance, wanted: WantedReceiver) -> str:
    return _one_time(instance, wanted.market) or _misshape(instance, wanted) or _useless(instance, wanted)


def _useless(instance: Instance, wanted: WantedReceiver) -> str:
    """Why an instance that rests could never be used again; only its first boot shows its host key (fact 21)."""
    if not instance.host_key:
        return "nobody learned its ssh host key at its first boot"
    if wanted.image and instance.image != wanted.image:
        return f"it was made from {instance.image or 'no image'}, and receiver.image is {wanted.image}"
    if wanted.key_name and instance.key_name != wanted.key_name:
        return f"it lets in the ssh key {instance.key_name or 'of nobody'}, and ours is {wanted.key_name}"
    return ""


def _misshape(instance: Instance, wanted: WantedReceiver) -> str:
    if instance.zone != wanted.zone:
        return f"it is in {instance.zone}, and the volumes are in {wanted.zone}"
    if instance.type != wanted.type:
        return f"it is a {instance.type}, and receiver.instance_type is {wanted.type}"
    return ""


def _clear(observed: Sequence[Instance], kept: Instance | None, wanted: WantedReceiver) -> tuple[ReceiverAction, ...]:
    """End what rests and will never be started again, and wait for what still holds volumes."""
    resting = [i for i in observed if i.state in (InstanceState.STOPPED, InstanceState.STOPPING) and i != kept]
    ended = [
        TerminateInstance(i.id, _unwanted(i, wanted) or "another receiver is used, and one is enough") for i in resting
    ]
    going = [i.id for i in observed if i.state is InstanceState.SHUTTING_DOWN]
    return (*ended, *(AwaitTerminated(id_) for id_ in (*going, *(i.id for i in resting))))


def _check_shape(instance: Instance, wanted: WantedReceiver) -> None:
    reason = _misshape(instance, wanted)
    if reason:
        raise Refused(
            f"Receiver {instance.id} of pool {wanted.pool} is {instance.state}, but {reason}.",
            hint="It may hold the pool, so it is left alone. End it with `ec2zfs instance stop`, then start again.",
        )


def _conflict(up: Sequence[Instance], wanted: WantedReceiver) -> Refused:
    ids = " and ".join(f"{instance.id} ({instance.state})" for instance in up)
    return Refused(
        f"{len(up)} receivers of pool {wanted.pool} are up: {ids}. Only one can hold the pool, and nothing says which.",
        hint="Nothing was changed. `ec2zfs instance stop` ends them all; then start again.",
    )
