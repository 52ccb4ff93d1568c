"""How hosts are reached, by the configuration: the site, and the receiver once EC2 has told its address."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ec2zfs.cli.this_machine import ThisMachine
from ec2zfs.cloud.images import find_image
from ec2zfs.cloud.instance_types import instance_type
from ec2zfs.cloud.instances import Instances
from ec2zfs.cloud.key_pairs import ensure_key_pair, key_pair_name
from ec2zfs.cloud.security_groups import SecurityGroup
from ec2zfs.cloud.subnets import described_subnet
from ec2zfs.execute.carrier import Carriage, Carrier, Chosen, Fixed
from ec2zfs.execute.controller_address import allowed_range
from ec2zfs.execute.progress import Progress
from ec2zfs.execute.receiver import Access, Connection, Receiver, ReceiverCloud, ReceiverTerms
from ec2zfs.hosts.host import Host
from ec2zfs.hosts.keypair import ensure_keypair, public_key
from ec2zfs.hosts.known_hosts import KnownHosts
from ec2zfs.hosts.local import LocalHost
from ec2zfs.hosts.ssh import SshHost
from ec2zfs.hosts.ssh_options import Liveness, SshTarget
from ec2zfs.model.instance import Instance
from ec2zfs.plan.receiver import WantedReceiver
from ec2zfs.transport.direct import FIRST_FLOWS, MIB, MOST_STRIPES, DirectTransport
from ec2zfs.transport.limit import Limit
from ec2zfs.transport.probe import barrier
from ec2zfs.transport.ssh import SshTransport

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

    from ec2zfs.config import Configuration

_BOOT_CONNECT_SECONDS = 30.0
"""A small machine that boots takes this long to give a shell; giving up sooner only makes it begin again."""


@contextmanager
def site(configuration: Configuration) -> Iterator[Host]:
    """The site, for a `with` block."""
    section = configuration.site
    if section.connection == "local" or section.address is None:
        yield LocalHost("site", sudo=section.sudo)
        return
    target = SshTarget(
        address=section.address,
        port=section.port,
        user=section.user,
        identity=section.ssh_key,
        known_hosts=section.known_hosts,
        alias="",
        sudo=section.sudo,
        control_directory=_control_directory(configuration),
    )
    with SshHost("site", target) as host:
        yield host


def receiver(configuration: Configuration, ec2: EC2Client, progress: Progress, connections: ExitStack) -> Receiver:
    """The receiver that the configuration asks for; `connections` ends those to it, and then closes its group."""
    section, pool, subnet = configuration.receiver, configuration.pool.name, configuration.receiver.subnet_id

    def connect(instance: Instance) -> Connection:
        connection = connection_to(configuration, instance)
        connections.callback(connection.close)
        return connection

    wanted = WantedReceiver(pool, section.instance_type, configuration.aws.zone, section.market)
    cloud = ReceiverCloud(
        instances=Instances(ec2, pool),
        security_group=SecurityGroup(ec2, pool, subnet),
        instance_type=lambda: instance_type(ec2, section.instance_type),
        image=lambda: find_image(ec2, section.image),
        key_pair=lambda: ensure_key_pair(ec2, pool, ensure_keypair(configuration.receiver_key)),
        key_name=lambda: _key_name(configuration),
        subnet_zone=lambda: described_subnet(ec2, subnet)["AvailabilityZone"] if subnet else None,
    )
    access = Access(
        known_hosts=KnownHosts(configuration.known_hosts) if section.connection == "ssh" else None,
        connect=connect,
        allowed_range=lambda: allowed_range(section.allow_from),
    )
    ports = configuration.transport.port_range
    terms = ReceiverTerms(wanted, subnet, section.ssh_port, section.dead_man_minutes, ports)
    made = Receiver(terms, cloud, access, progress)
    connections.callback(made.leave)
    return made


def connection_to(configuration: Configuration, instance: Instance) -> Connection:
    """The connection to a receiver: this machine itself, or ssh under the key that is pinned for the instance."""
    section = configuration.receiver
    sudo = section.user != "root"
    if section.connection == "local":
        return ThisMachine.being(instance.id, LocalHost(f"receiver {instance.id}", sudo=os.geteuid() != 0))
    target = SshTarget(
        address=instance.address,
        port=section.ssh_port,
        user=section.user,
        identity=configuration.receiver_key,
        known_hosts=configuration.known_hosts,
        alias=instance.id,
        sudo=sudo,
        control_directory=_control_directory(configuration),
    )
    return SshHost(f"receiver {instance.id}", target, Liveness(connect=_BOOT_CONNECT_SECONDS))


def carrier(configuration: Configuration, receiver: Receiver, site: Host) -> Carrier:
    """What carries streams between the site and the receiver; what is far beside that is relayed by this machine."""
    section, limit = configuration.transport, Limit(configuration.rates)
    ssh = SshTransport(limit=limit)
    if configuration.receiver.connection == "local":
        return Fixed(Carriage(ssh, "The stream comes to this machine, so only ssh and a pipe carry it."))
    direct = DirectTransport(
        ports=section.port_range,
        buffer=section.buffer_mib * MIB,
        flows=(min(FIRST_FLOWS, section.flows), section.flows),
        relayed=site if isinstance(site, SshHost) else None,
        limit=limit,
    )
    stripes = min(MOST_STRIPES, section.flows)
    striped = replace(direct, ports=(0, 0), stripes=True, flows=(min(FIRST_FLOWS, stripes), stripes))
    return Chosen(section.mode, direct, striped, ssh, receiver.admitting, partial(barrier, direct))


def _key_name(configuration: Configuration) -> str:
    """EC2's name of our key for the receiver; one that no instance has while the key is yet to be made."""
    key = public_key(configuration.receiver_key)
    return key_pair_name(configuration.pool.name, key) if key else "yet to be made"


def _control_directory(configuration: Configuration) -> Path:
    return configuration.paths.state / "ssh"
