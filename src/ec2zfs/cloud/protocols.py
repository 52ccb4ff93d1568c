"""What executors need of the cloud, as protocols: kept by the classes beside this file and by the tests' fakes.

Decides signatures alone; `tests/contract/` says what they must mean, by one suite for each.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ec2zfs.errors import Refused
from ec2zfs.model.instance import Instance, InstanceState, Market
from ec2zfs.model.layout import Place
from ec2zfs.model.volume import Schedule, Volume


@dataclass(frozen=True)
class VolumeOrder:
    """A volume that is to be: where it stands, how many stood there before, size in GiB, EBS type, zone."""

    place: Place
    generation: int
    size_gib: int
    type: str
    zone: str


@dataclass(frozen=True)
class Image:
    """A machine image. `root_device` is the device name of its root volume, `root_gib` that volume's least size."""

    id: str
    name: str
    architecture: str
    root_device: str
    root_gib: int


@dataclass(frozen=True)
class Ingress:
    """One rule of a security group: who (an address range, or another source by its id) may reach which ports.

    `protocol` is EC2's: `tcp`, `udp`, `icmp`, a number, or `-1` for all; ports are -1 where the protocol has none.
    """

    source: str
    protocol: str
    from_port: int
    to_port: int


Ports = tuple[int, int]
"""The first and the last of a range of TCP ports."""


def rule(cidr: str, ports: Ports) -> Ingress:
    """The rule that lets an address range reach TCP ports. Raises `Refused` for a range that is everybody."""
    network = ipaddress.ip_network(cidr, strict=False)
    if network.prefixlen == 0:
        raise Refused(f"{cidr} is everybody; the receiver is opened to the controller's address only.")
    return Ingress(str(network), "tcp", *ports)


class VolumesApi(Protocol):
    """The volumes of one pool. Every method may be called by several threads at once."""

    def volumes(self) -> list[Volume]:
        """The pool's volumes by place and generation, without those that are deleted or being deleted."""
        ...

    def create(self, order: VolumeOrder) -> Volume:
        """Ask for a volume; it may still be `creating`. The same order again is the same volume, not a second one.

        Raises `Refused` when another volume stands there with other values, `NoCapacity`, `CredentialsError`, and
        `CloudError`.
        """
        ...

    def attach(self, volume: Volume, instance_id: str, device: str) -> None:
        """Ask for the bond; it may still be `attaching`. Success when it is attached there already, under any device.

        Raises `Refused` when it is attached elsewhere.
        """
        ...

    def detach(self, volume: Volume, *, force: bool = False) -> None:
        """Ask for the end of the bond; it may still be `detaching`. Success when it is attached nowhere.

        `force`: without asking the machine, which may lose what it has not written yet.
        """
        ...

    def delete(self, volume: Volume) -> None:
        """Delete it for ever. Success when it is gone already. Raises `Refused` while it is attached."""
        ...

    def modify(self, volume: Volume, size_gib: int, volume_type: str) -> None:
        """Ask for another size or type; the volume shows both as soon as they can be used (fact 4).

        Success when it has them, or is on its way to them. Raises `ModificationTooSoon` when EC2 takes it later, and
        `Refused` for a smaller size.
        """
        ...

    def retire(self, volume: Volume, since: datetime | None) -> None:
        """Mark it as a volume that is only kept (`Volume.retirement`)."""
        ...

    def schedule(self, volume: Volume, schedule: Schedule | None) -> None:
        """Note a modification that EC2 takes later (`Volume.schedule`); None takes the note away."""
        ...

    def awaited(
        self,
        ids: Collection[str],
        done: Callable[[Volume], bool],
        limit_seconds: float,
        *,
        despite_error: bool = False,
    ) -> list[Volume]:
        """Wait until `done` holds for all of these volumes, with one call a look for all of them; in the order of ids.

        Raises `CloudError` at once when one is in `error` (fact 9), `NotInTime` past the limit. `despite_error`: one in
        `error` is waited for like any other, as one may be on its way off a machine.
        """
        ...


@dataclass(frozen=True)
class InstanceOrder:
    """A receiver that is to be.

    `zone` is the volumes' zone; with a `subnet_id` the subnet's own zone counts. `root_gib` is the least size of the
    root volume. `user_data` is at most 16 KiB, is readable on the instance and by whoever may describe it: never a
    secret (fact 20).
    """

    image: Image
    type: str
    market: Market
    zone: str
    key_name: str
    security_group_id: str
    subnet_id: str | None = None
    user_data: str = ""
    root_gib: int = 8


class InstancesApi(Protocol):
    """The receivers of one pool."""

    def instances(self) -> list[Instance]:
        """The pool's receivers, the newest first; those being terminated too, as they may still hold volumes."""
        ...

    def run(self, order: InstanceOrder) -> Instance:
        """Start a new one; it may still be `pending`. The same order again is the same one while it is not terminated.

        Raises `NoCapacity`, `CredentialsError`, and `CloudError`.
        """
        ...

    def start(self, instance_id: str) -> None:
        """Ask for the start of a stopped one; success when it runs already. Raises `NoCapacity`."""
        ...

    def stop(self, instance_id: str) -> None:
        """Ask for a stop; success when it is stopped already."""
        ...

    def terminate(self, instance_id: str) -> None:
        """Ask for the end of it for good; success when EC2 knows it no more."""
        ...

    def await_state(self, instance_id: str, state: InstanceState, limit_seconds: float) -> Instance:
        """Wait for a state. Raises `CloudError` at once when it cannot come any more, and past the limit."""
        ...

    def console_output(self, instance_id: str) -> str:
        """What the console shows now, at most the last 64 KiB; empty while EC2 has nothing (fact 21)."""
        ...

    def remember_host_key(self, instance_id: str, key: str) -> None:
        """Put the host key (`ssh-ed25519 AAAA…`) on the instance as a tag."""
        ...


class SecurityGroupApi(Protocol):
    """The one security group of the pool's receivers."""

    def ensure(self) -> str:
        """The group's id; the group is made when it is not there, open to nobody."""
        ...

    def open(self, cidr: str, port: int, *, streams: Ports | None = None) -> bool:
        """Let this address range reach this TCP port, and nobody else anything; whether it could not before.

        `streams`: ports that stay open to the same range, where they are.
        """
        ...

    def admit(self, cidr: str, streams: Ports) -> None:
        """Let this address range reach these TCP ports as well. Success when it can already."""
        ...

    def expel(self, streams: Ports) -> None:
        """Let nobody reach these TCP ports any more. Success when nobody can, or the group does not exist."""
        ...

    def close(self) -> None:
        """Let nobody in any more. Success when the group does not exist."""
        ...

    def ingress(self) -> tuple[Ingress, ...]:
        """Who may reach what now."""
        ...
