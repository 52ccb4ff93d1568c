"""`ec2zfs pool`: the cloud pool as the operator handles it. The pool key is asked for before anything is started."""

from __future__ import annotations

import argparse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ec2zfs.cli.session import Session
    from ec2zfs.cli.verbs import Verbs
    from ec2zfs.runs.creation import CreationPreview


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    from ec2zfs.cli import pool_add_vdev, pool_grow, pool_rekey, pool_repair, pool_scrub, pool_status
    from ec2zfs.cli.verbs import add_group, add_verb

    group = add_group(verbs, "pool", "create, unlock, lock, look at, grow and mend the cloud pool")
    create = add_verb(
        group, "create", "create the volumes and the pool, or finish what was begun; locked at its end", _create
    )
    create.add_argument("--dry-run", action="store_true", help="show what would be done and its price, and do nothing")
    pool_status.register(group)
    unlock = add_verb(group, "unlock", "open the pool on the receiver that is up", _unlock)
    unlock.add_argument(
        "--accept-degraded", action="store_true", help="open it though volumes are missing, with less redundancy"
    )
    add_verb(group, "lock", "export the pool and close all its volumes on the receiver", _lock)
    for verb in (pool_grow, pool_repair, pool_add_vdev, pool_scrub, pool_rekey):
        verb.register(group)


def _create(arguments: argparse.Namespace) -> int:
    from ec2zfs.cli.pool_status import show_pool
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
        show_pool(parts, status, parts.fleet.volumes())
    return 0


def _unlock(arguments: argparse.Namespace) -> int:
    from ec2zfs.cli.pool_status import show_pool
    from ec2zfs.cli.session import session

    with session(arguments) as parts, parts.lock():
        key = parts.pool_key()
        host = parts.receiver.reach()
        pool = parts.cloud_pool(host)
        with parts.receiver.dead_man(host):
            # Whether the pool can do without a volume that EC2 gave up is for ZFS to say.
            volumes = parts.attached_volumes(accept_degraded=True)
            pool.unlock(key, volumes, accept_degraded=arguments.accept_degraded)
            show_pool(parts, pool.status(), volumes)
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
