"""`ec2zfs pool`: the cloud pool as the operator handles it. The pool key is asked for before anything is started."""

from __future__ import annotations

import argparse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ec2zfs.cli.session import Session
    from ec2zfs.cli.verbs import Verbs
    from ec2zfs.model.pool import Member, PoolStatus, Vdev
    from ec2zfs.model.volume import Volume
    from ec2zfs.runs.creation import CreationPreview


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    from ec2zfs.cli.verbs import add_group, add_verb

    group = add_group(verbs, "pool", "create, unlock, lock and look at the cloud pool")
    create = add_verb(
        group, "create", "create the volumes and the pool, or finish what was begun; locked at its end", _create
    )
    create.add_argument("--dry-run", action="store_true", help="show what would be done and its price, and do nothing")
    add_verb(group, "status", "show the pool, its members and their volumes", _status)
    unlock = add_verb(group, "unlock", "open the pool on the receiver that is up", _unlock)
    unlock.add_argument(
        "--accept-degraded", action="store_true", help="open it though volumes are missing, with less redundancy"
    )
    add_verb(group, "lock", "export the pool and close all its volumes on the receiver", _lock)


def _create(arguments: argparse.Namespace) -> int:
    from ec2zfs.cli.session import session
    from ec2zfs.runs.creation import create_pool, preview_creation
    from ec2zfs.runs.stages import Journal

    with session(arguments) as parts:
        if arguments.dry_run:
            _show_preview(parts, preview_creation(parts.creation))
            return 0
        with parts.lock():
            key = parts.pool_key(new=True)
            status = create_pool(parts.creation, key, Journal(parts.output))
        _show_pool(parts, status, parts.fleet.volumes())
    return 0


def _status(arguments: argparse.Namespace) -> int:
    from ec2zfs.cli.session import session
    from ec2zfs.errors import HostError

    with session(arguments) as parts:
        volumes = parts.fleet.volumes()
        try:
            parts.running_receiver()
        except HostError:
            _show_locked(parts, volumes, "none is up")
            return 0
        host = parts.receiver.reach()
        view = parts.cloud_pool(host).look()
        if view.imported:
            _show_pool(parts, view.imported, volumes)
        else:
            _show_locked(parts, volumes, host.name, view.mappings)
    return 0


def _unlock(arguments: argparse.Namespace) -> int:
    from ec2zfs.cli.session import session

    with session(arguments) as parts, parts.lock():
        key = parts.pool_key()
        host = parts.receiver.reach()
        pool = parts.cloud_pool(host)
        with parts.receiver.dead_man(host):
            volumes = parts.attached_volumes()
            pool.unlock(key, volumes, accept_degraded=arguments.accept_degraded)
            _show_pool(parts, pool.status(), volumes)
        minutes = parts.configuration.receiver.dead_man_minutes
        parts.output.say(f"The receiver powers itself off in {minutes} minutes unless ec2zfs works on it.")
    return 0


def _lock(arguments: argparse.Namespace) -> int:
    from ec2zfs.cli.session import session

    with session(arguments) as parts, parts.lock():
        parts.cloud_pool(parts.receiver.reach()).lock()
        parts.output.say(f"Pool {parts.pool} is locked: exported, and no mapping of it is open.")
    return 0


def _show_preview(parts: Session, preview: CreationPreview) -> None:
    from ec2zfs.cli.costs import volume_costs
    from ec2zfs.cloud.prices import dollars

    actions = [
        *preview.volumes,
        *preview.receiver,
        "attach every volume to the receiver",
        *preview.pool,
        "lock the pool",
    ]
    parts.output.table("actions", [{"action": str(action)} for action in actions])
    if preview.standing:
        parts.output.warn(
            f"{preview.standing} volumes exist already. What they hold shows when the receiver is up: what is "
            "formatted is only opened, and a pool that is there is only imported."
        )
    hourly = parts.prices.instance_per_hour(parts.configuration.receiver.instance_type)
    costs = volume_costs(parts.prices, preview.volumes)
    layout = {"layout": str(parts.design.layout), "usable GiB, about": parts.design.layout.usable_gib}
    parts.output.result(
        "dry run: nothing was changed", {**layout, **costs, "receiver": f"{dollars(hourly)} an hour at most"}
    )


def _show_pool(parts: Session, status: PoolStatus, volumes: Sequence[Volume]) -> None:
    from ec2zfs.cli.progress import amount

    rows = [_member_row(vdev, member, volumes) for vdev in status.vdevs for member in vdev.members]
    parts.output.table("members", rows)
    parts.output.result(
        "pool",
        {
            "name": status.name,
            "guid": status.guid,
            "state": status.state.value,
            "healthy": status.healthy,
            "size": amount(status.size, "B"),
            "free": amount(status.free, "B"),
            "scan": status.scan,
            "status": status.status,
            "errors": status.errors,
        },
    )


def _member_row(vdev: Vdev, member: Member, volumes: Sequence[Volume]) -> dict[str, object]:
    """A member with its volume: of the same mapping name, or without encryption of the serial in its path."""
    found = (each for each in volumes if each.mapping == member.name or each.serial in member.path)
    volume = next(found, None)
    return {
        "vdev": vdev.name,
        "place": str(volume.place) if volume else "",
        "generation": volume.generation if volume else "",
        "volume": volume.id if volume else "",
        "member": member.name,
        "state": member.state.value,
        "read": member.read_errors,
        "write": member.write_errors,
        "checksum": member.checksum_errors,
    }


def _show_locked(parts: Session, volumes: Sequence[Volume], receiver: str, mappings: Sequence[str] = ()) -> None:
    attached = sum(volume.attachment is not None for volume in volumes)
    parts.output.result(
        "pool",
        {
            "name": parts.pool,
            "state": "half open" if mappings else "locked" if volumes else "absent",
            "receiver": receiver,
            "volumes": len(volumes),
            "attached": attached,
            "open mappings": ", ".join(mappings),
        },
    )
