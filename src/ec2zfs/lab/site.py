"""The site: the file server of the demonstration, with a pool of sources and a pool for staging.

A machine like the instances', but no instance: EC2 knows nothing of it. Its ssh key is learned from its console, as a
receiver's is; never by trust on first use.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ec2zfs.errors import HostError
from ec2zfs.execute.host_keys import console_keys
from ec2zfs.hosts.host import Command
from ec2zfs.hosts.ssh import SshHost
from ec2zfs.hosts.ssh_options import SshTarget
from ec2zfs.lab.environment import loopback_address
from ec2zfs.lab.hypervisor import GIB, Hypervisor
from ec2zfs.lab.machines.machine import Disk, Machine
from ec2zfs.lab.metadata import InstanceFacts

T = TypeVar("T")

NAME = "site"
DISKS = {"tank": ("sitetank", 8 * GIB), "staging": ("sitestaging", 8 * GIB)}
"""The pools of the site: serial number and size of their disks. Sparse: they take what is written."""

BOOT_LIMIT = 300.0
_POLL = 0.3

# Sources with a little data, so that a first backup has something to send.
_SET_UP = """\
set -eu
disk() { lsblk -dnro PATH,SERIAL | awk -v s="$1" '$2 == s { print $1; found = 1 } END { exit !found }'; }
for n in 1 2 3 4 5 6 7 8 9 10; do disk sitetank > /dev/null && disk sitestaging > /dev/null && break; sleep 0.5; done
modprobe zfs
for pool in tank staging; do
  zpool create -o ashift=12 -o autotrim=on -O compression=lz4 -O atime=off -O xattr=sa -O acltype=posixacl \\
    "$pool" "$(disk "site$pool")"
done
zfs create tank/home
zfs create tank/home/ada
zfs create tank/projects
head -c 2000000 /dev/urandom > /tank/home/ada/photo.raw
printf 'Minutes of the meeting\\n' > "/tank/home/ada/minutes of the meeting.txt"
mkdir -p /tank/projects/engine
seq 1 20000 > /tank/projects/engine/table
"""


@dataclass(frozen=True)
class Site:
    """How the site is reached: as root, with the lab's key; `known_hosts` has its host key, by address and alias."""

    address: str
    port: int
    user: str
    identity: Path
    known_hosts: Path
    alias: str = NAME


def raise_site(room: Hypervisor, identity: Path, say: Callable[[str], None]) -> Site:
    """Start the site's machine and make its pools; `identity` is the private key of a pair that exists.

    Raises `HostError` when it does not come up within 5 minutes, and what commands on it raise.
    """
    public_key = identity.with_name(identity.name + ".pub").read_text().strip()
    facts = InstanceFacts(NAME, "", "", "", "", key_name=NAME, public_key=public_key)
    say("The site's machine starts")
    machine = room.boot(NAME, loopback_address(), lambda: facts, fresh=True)
    for serial, size in DISKS.values():
        machine.attach(Disk(serial, room.make_disk(serial, size)))
    site = _reached(room, machine, identity)
    target = ssh_target(site, room.directory / "ssh")
    with SshHost(NAME, target) as host:
        _await(room, lambda: host.reachable() or None, "answer on its ssh port")
        say("The site's pools are made: tank and staging")
        host.run(Command.of("sh", "-c", _SET_UP, timeout=120.0))
    return site


def ssh_target(site: Site, control_directory: Path) -> SshTarget:
    """The site as ssh sees it."""
    return SshTarget(
        address=site.address,
        port=site.port,
        user=site.user,
        identity=site.identity,
        known_hosts=site.known_hosts,
        alias=site.alias,
        sudo=False,
        control_directory=control_directory,
    )


def _reached(room: Hypervisor, machine: Machine, identity: Path) -> Site:
    keys = _await(room, lambda: console_keys(machine.console()) or None, "print its ssh host keys on its console")
    known_hosts = room.directory / "site_known_hosts"
    address, port = machine.spec.address, machine.spec.ssh_port
    names = f"{NAME},{address},[{address}]:{port}"
    descriptor = os.open(known_hosts, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.writelines(f"{names} {key}\n" for key in keys)
    return Site(address, port, "root", identity, known_hosts)


def _await(room: Hypervisor, look: Callable[[], T | None], what: str) -> T:
    deadline = time.monotonic() + BOOT_LIMIT
    while (found := look()) is None:
        if room.closed or time.monotonic() > deadline:
            raise HostError(f"The site's machine did not {what} within {BOOT_LIMIT:g} s.", hint="See its console.")
        time.sleep(_POLL)
    return found
