"""`ec2zfs instance`: the receiver as an instance, up or down. Never touches the pool on it: lock that before `stop`."""

from __future__ import annotations

import argparse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ec2zfs.cli.session import Session
    from ec2zfs.cli.verbs import Verbs
    from ec2zfs.plan.receiver import ReceiverAction


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    from ec2zfs.cli.verbs import add_group, add_verb

    group = add_group(verbs, "instance", "make, start, stop and reach the receiver")
    for name, summary, handler in (
        ("create", "make a receiver, or use the one there is, and wait until it is ready", _create),
        ("start", "start the receiver that is kept (or a new one, on spot), and wait until it is ready", _start),
        ("stop", "stop the receiver, or terminate it if it is not one to keep; `ec2zfs pool lock` comes first", _stop),
    ):
        parser = add_verb(group, name, summary, handler)
        parser.add_argument("--dry-run", action="store_true", help="show what would be done, and do nothing")
    add_verb(group, "status", "show the receivers, their price and who may reach them", _status)
    add_verb(group, "ssh", "log in to the receiver, which stays up meanwhile", _ssh)


def _create(arguments: argparse.Namespace) -> int:
    from ec2zfs.cli.session import session

    with session(arguments) as parts:
        return _bring_up(parts, dry_run=arguments.dry_run)


def _start(arguments: argparse.Namespace) -> int:
    from ec2zfs.cli.session import session
    from ec2zfs.errors import Refused
    from ec2zfs.model.instance import Market
    from ec2zfs.plan.receiver import RunInstance

    with session(arguments) as parts:
        last = parts.receiver.starting()[-1]
        if isinstance(last, RunInstance) and last.market is Market.ON_DEMAND:
            raise Refused(
                f"Pool {parts.pool} has no receiver that could be started.", hint="Make one: `ec2zfs instance create`."
            )
        return _bring_up(parts, dry_run=arguments.dry_run)


def _bring_up(parts: Session, *, dry_run: bool) -> int:
    if dry_run:
        _show_plan(parts, parts.receiver.starting())
        return 0
    with parts.lock():
        parts.receiver.start()
    _show_status(parts)
    minutes = parts.configuration.receiver.dead_man_minutes
    parts.output.say(f"It powers itself off in {minutes} minutes unless ec2zfs works on it or you are logged in.")
    return 0


def _stop(arguments: argparse.Namespace) -> int:
    from ec2zfs.cli.session import session

    with session(arguments) as parts:
        if arguments.dry_run:
            _show_plan(parts, parts.receiver.stopping())
            return 0
        with parts.lock():
            parts.receiver.stop()
        _show_status(parts)
    return 0


def _status(arguments: argparse.Namespace) -> int:
    from ec2zfs.cli.session import session

    with session(arguments) as parts:
        _show_status(parts)
    return 0


def _ssh(arguments: argparse.Namespace) -> int:
    from ec2zfs.cli.session import session
    from ec2zfs.errors import Refused
    from ec2zfs.hosts.ssh import SshHost
    from ec2zfs.hosts.terminal import attended

    with session(arguments) as parts:
        host = parts.receiver.reach()
        if not isinstance(host, SshHost):
            raise Refused('receiver.connection is "local": this is the receiver.', hint="You are there already.")
        with parts.receiver.dead_man(host):
            return attended(host.login_argv())


def _show_plan(parts: Session, actions: Sequence[ReceiverAction]) -> None:
    parts.output.table("actions", [{"action": str(action)} for action in actions])
    parts.output.result("price while it runs", _price(parts, parts.configuration.receiver.instance_type))


def _show_status(parts: Session) -> None:
    status = parts.receiver.status()
    rows = [
        {
            "instance": each.id,
            "state": each.state.value,
            "type": each.type,
            "market": each.market.value,
            "zone": each.zone,
            "address": each.address,
            "host key pinned": each.id in status.pinned,
            "launched": each.launched.isoformat(timespec="seconds"),
        }
        for each in status.instances
    ]
    parts.output.table("receivers", rows)
    open_to = [{"who": rule.source, "ports": f"{rule.protocol} {rule.from_port}"} for rule in status.ingress]
    parts.output.table("open doors", open_to)
    for type_ in sorted({each.type for each in status.instances}):
        parts.output.result("price while it runs", _price(parts, type_))


def _price(parts: Session, type_: str) -> dict[str, object]:
    hourly = parts.prices.instance_per_hour(type_)
    price = "unknown" if hourly is None else f"${hourly.normalize():f}"
    return {"type": type_, "on demand, an hour": price, "prices": parts.prices.caption, "spot": "costs less"}
