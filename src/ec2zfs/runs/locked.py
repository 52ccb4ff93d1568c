"""Whether the pool is locked wherever it could be open; asked before its volumes are taken away. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from ec2zfs.errors import Refused
from ec2zfs.execute.pool import CloudPool
from ec2zfs.execute.receiver import Receiver
from ec2zfs.hosts.host import Host
from ec2zfs.model.instance import InstanceState
from ec2zfs.model.volume import Volume

_DOWN = frozenset({InstanceState.STOPPED, InstanceState.TERMINATED})


def require_locked(receiver: Receiver, cloud_pool: Callable[[Host], CloudPool], volumes: Sequence[Volume]) -> None:
    """Raise `Refused` while the pool is imported or a mapping of it is open on a receiver that is up.

    Raises it too where that cannot be seen: two receivers are up, or a volume hangs on a machine that is none.
    """
    instances = receiver.status().instances
    _require_ours(volumes, {instance.id for instance in instances})
    up = [instance for instance in instances if instance.state not in _DOWN]
    if not up:
        return
    if len(up) > 1:
        named = " and ".join(instance.id for instance in up)
        raise Refused(
            f"{len(up)} receivers are up, {named}; nothing was detached.",
            hint="Lock the pool on the one that has it open (`ssh`, then `zpool export`), and end both"
            " (`ec2zfs instance stop`).",
        )
    host = receiver.reach()
    view = cloud_pool(host).look()
    if view.imported or view.mappings:
        open_as = f"pool {view.imported.name} is imported" if view.imported else f"{view.mappings[0]} is open"
        raise Refused(f"On {host.name} {open_as}; nothing was detached.", hint="Lock it first (`ec2zfs pool lock`).")


def _require_ours(volumes: Sequence[Volume], receivers: Collection[str]) -> None:
    for volume in volumes:
        bond = volume.attachment
        if bond and bond.instance_id not in receivers:
            raise Refused(
                f"{volume.place} ({volume.id}) is attached to {bond.instance_id}, which is no receiver of this pool, so"
                " nobody can say whether it is open there; nothing was detached.",
                hint="Export the pool there and detach the volume by hand.",
            )
