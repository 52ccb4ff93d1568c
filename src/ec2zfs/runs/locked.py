"""Whether the pool is locked wherever it could be open; asked before its volumes are taken away. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable

from ec2zfs.errors import Refused
from ec2zfs.execute.pool import CloudPool
from ec2zfs.execute.receiver import Receiver
from ec2zfs.hosts.host import Host
from ec2zfs.model.instance import InstanceState

_DOWN = frozenset({InstanceState.STOPPED, InstanceState.TERMINATED})


def require_locked(receiver: Receiver, cloud_pool: Callable[[Host], CloudPool]) -> None:
    """Raise `Refused` while the pool is imported or a mapping of it is open on a receiver that is up."""
    if all(instance.state in _DOWN for instance in receiver.status().instances):
        return
    host = receiver.reach()
    view = cloud_pool(host).look()
    if view.imported or view.mappings:
        open_as = f"pool {view.imported.name} is imported" if view.imported else f"{view.mappings[0]} is open"
        raise Refused(f"On {host.name} {open_as}; nothing was detached.", hint="Lock it first (`ec2zfs pool lock`).")
