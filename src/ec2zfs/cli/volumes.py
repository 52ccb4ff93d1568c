"""`ec2zfs volumes`: the EBS volumes of the pool. What is open on the receiver is neither detached nor deleted."""

from __future__ import annotations

import argparse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ec2zfs.cli.session import Session
    from ec2zfs.cli.verbs import Verbs
    from ec2zfs.model.volume import Volume
    from ec2zfs.plan.volumes import VolumeAction


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    from ec2zfs.cli.verbs import add_group, add_verb

    group = add_group(verbs, "volumes", "create, attach, detach and delete the volumes of the pool")
    changes = [
        add_verb(group, "create", "create the volumes of the layout that do not exist yet", _create),
        add_verb(group, "attach", "attach the pool's volumes to the receiver that is up", _attach),
        add_verb(group, "detach", "detach the pool's volumes; `ec2zfs pool lock` comes first", _detach),
    ]
    add_verb(group, "list", "list the volumes with their places, states and price", _list)
    delete = add_verb(group, "delete", "delete the pool's volumes for ever, with all that they hold", _delete)
    delete.add_argument("--failed", action="store_true", help="only those that EC2 reports in state error")
    delete.add_argument("--confirm", metavar="POOL", help="the pool's name, instead of typing it when asked")
    for parser in (*changes, delete):
        parser.add_argument("--dry-run", action="store_true", help="show what would be done, and do nothing")


def _create(arguments: argparse.Namespace) -> int:
    from ec2zfs.cli.session import session
    from ec2zfs.runs.creation import plan_volumes

    with session(arguments) as parts:
        if arguments.dry_run:
            _show_plan(parts, plan_volumes(parts.creation))
            return 0
        with parts.lock():
            _show(parts, parts.fleet.carry_out(plan_volumes(parts.creation)))
    return 0


def _list(arguments: argparse.Namespace) -> int:
    from ec2zfs.cli.session import session

    with session(arguments) as parts:
        _show(parts, parts.fleet.volumes())
    return 0


def _attach(arguments: argparse.Namespace) -> int:
    from ec2zfs.cli.session import session
    from ec2zfs.plan.volumes import current, plan_attachment

    with session(arguments) as parts:
        if arguments.dry_run:
            receiver = parts.running_receiver()
            _show_plan(parts, plan_attachment(parts.fleet.volumes(), receiver, parts.type_of(receiver)))
            return 0
        with parts.lock():
            _show(parts, current(parts.attached_volumes()))
    return 0


def _detach(arguments: argparse.Namespace) -> int:
    from ec2zfs.cli.session import session
    from ec2zfs.plan.volumes import plan_detachment
    from ec2zfs.runs.locked import require_locked

    with session(arguments) as parts:
        if arguments.dry_run:
            _show_plan(parts, plan_detachment(parts.fleet.volumes()))
            return 0
        with parts.lock():
            volumes = parts.fleet.volumes()
            require_locked(parts.receiver, parts.cloud_pool, volumes)
            _show(parts, parts.fleet.carry_out(plan_detachment(volumes)))
    return 0


def _delete(arguments: argparse.Namespace) -> int:
    from ec2zfs.cli.confirmation import confirm
    from ec2zfs.cli.session import session
    from ec2zfs.plan.volumes import broken, plan_deletion

    with session(arguments) as parts:
        standing = parts.fleet.volumes()
        doomed = list(broken(standing)) if arguments.failed else standing
        actions = plan_deletion(doomed, "EC2 gave it up" if arguments.failed else "asked for")
        if arguments.dry_run or not actions:
            _show_plan(parts, actions)
            return 0
        with parts.lock():
            confirm(f"delete {len(doomed)} volumes and all that they hold", parts.pool, arguments.confirm)
            _show(parts, parts.fleet.carry_out(actions))
    return 0


def _show_plan(parts: Session, actions: Sequence[VolumeAction]) -> None:
    from ec2zfs.cli.costs import volume_costs
    from ec2zfs.plan.volumes import CreateVolume

    bought = [action for action in actions if isinstance(action, CreateVolume)]
    parts.output.table("actions", [{"action": str(action)} for action in actions])
    parts.output.result("dry run: nothing was changed", {"actions": len(actions), **volume_costs(parts.prices, bought)})


def _show(parts: Session, volumes: Sequence[Volume]) -> None:
    from ec2zfs.cli.costs import volume_costs

    rows = [
        {
            "place": str(volume.place),
            "generation": volume.generation,
            "volume": volume.id,
            "GiB": volume.size_gib,
            "type": volume.type,
            "zone": volume.zone,
            "state": volume.state.value,
            "attached to": volume.attachment.instance_id if volume.attachment else "",
            "attachment": volume.attachment.state.value if volume.attachment else "",
            "kept since": _kept_since(volume),
            "grows": _grows(volume),
        }
        for volume in volumes
    ]
    parts.output.table("volumes", rows)
    parts.output.result("price", volume_costs(parts.prices, volumes))


def _kept_since(volume: Volume) -> str:
    """From when the pool was seen healthy without a volume that has left it; empty for one that belongs to it."""
    if volume.retirement is None:
        return ""
    since = volume.retirement.since
    return f"{since:%Y-%m-%d %H:%M} UTC" if since else "the pool was not healthy since"


def _grows(volume: Volume) -> str:
    """To what and from when EC2 is to modify it."""
    later = volume.schedule
    return f"to {later.size_gib} GiB from {later.not_before:%Y-%m-%d %H:%M} UTC" if later else ""
