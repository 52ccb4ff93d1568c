"""What a `Receiver` is given and what it shows: frozen values, and the seams to the cloud and to the machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from ec2zfs.cloud.patience import Patience
from ec2zfs.cloud.protocols import Image, Ingress, InstancesApi, Ports, SecurityGroupApi
from ec2zfs.hosts.host import Host
from ec2zfs.hosts.known_hosts import KnownHosts
from ec2zfs.model.instance import Instance, InstanceType
from ec2zfs.plan.receiver import WantedReceiver


class Connection(Host, Protocol):
    """A host behind a connection, such as `SshHost`."""

    def close(self) -> None:
        """End the connection."""
        ...


@dataclass(frozen=True)
class ReceiverTerms:
    """What the configuration says of the receiver beside its type, zone and market."""

    wanted: WantedReceiver
    subnet_id: str | None
    ssh_port: int
    dead_man_minutes: int
    stream_ports: Ports


@dataclass(frozen=True)
class ReceiverCloud:
    """The cloud's side. The functions are called only when their answer is needed: each is an API call or two.

    `key_pair` makes our ssh key known to EC2 and returns its name there; `key_name` is that name, and changes nothing.
    `subnet_zone` is the zone of the subnet that is configured, None when none is.
    """

    instances: InstancesApi
    security_group: SecurityGroupApi
    instance_type: Callable[[], InstanceType]
    image: Callable[[], Image]
    key_pair: Callable[[], str]
    key_name: Callable[[], str]
    subnet_zone: Callable[[], str | None] = lambda: None


@dataclass(frozen=True)
class Access:
    """How the controller gets in: pinned keys, the connection to an instance, the range that it comes from.

    Without `known_hosts` the receiver is the machine on which we run, so there is no key to learn.
    """

    known_hosts: KnownHosts | None
    connect: Callable[[Instance], Connection]
    allowed_range: Callable[[], str]


@dataclass(frozen=True)
class Limits:
    """Seconds that each wait may last; a first boot on a slow machine can take ten minutes to show its keys."""

    running: float = 300.0
    stopped: float = 900.0
    console: float = 600.0
    ssh: float = 600.0
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True)
class ReceiverStatus:
    """What EC2 shows of the pool's receivers, who may reach them, and of which the host key is pinned here."""

    instances: tuple[Instance, ...]
    ingress: tuple[Ingress, ...]
    pinned: frozenset[str]
