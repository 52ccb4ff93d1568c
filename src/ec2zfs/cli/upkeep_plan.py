"""How the plan of work on the pool is shown (`--dry-run`), and what the pool came to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ec2zfs.cli.costs import volume_costs
from ec2zfs.cli.progress import amount
from ec2zfs.cloud.prices import dollars
from ec2zfs.plan.volumes import CreateVolume, ModifyVolume

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ec2zfs.cli.session import Session
    from ec2zfs.model.pool import PoolStatus
    from ec2zfs.runs.outlook import Outlook


def show_plan(session: Session, outlook: Outlook, words: Mapping[str, object]) -> None:
    """The actions in their order, what is bought for them, and the words given."""
    actions = [*outlook.receiver, "attach every volume to the receiver, and open the pool", *outlook.actions]
    session.output.table("actions", [{"action": str(action)} for action in actions])
    if not outlook.seen:
        session.output.warn(
            "The pool is locked, so this supposes that it is healthy and freshly scrubbed; the command itself looks."
        )
    bought = [action for action in outlook.actions if isinstance(action, CreateVolume)]
    modified = sum(isinstance(action, ModifyVolume) for action in outlook.actions)
    hourly = session.prices.instance_per_hour(session.configuration.receiver.instance_type)
    session.output.result(
        "dry run: nothing was changed",
        {
            **words,
            "volumes to buy": len(bought),
            "volumes to modify": modified,
            **volume_costs(session.prices, bought),
            "receiver": f"{dollars(hourly)} an hour at most",
        },
    )


def pool_words(before: PoolStatus | None, after: PoolStatus) -> dict[str, object]:
    """What became of the pool."""
    grown = {"size before": amount(before.size, "B")} if before else {}
    return {
        "pool": after.name,
        "state": after.state.value,
        "healthy": after.healthy,
        **grown,
        "size": amount(after.size, "B"),
        "free": amount(after.free, "B"),
        "scan": after.scan.line if after.scan else "",
    }
