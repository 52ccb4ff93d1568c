"""What work on the pool would do, step by step, as far as it can be seen now. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from ec2zfs.model.standing import Standing
from ec2zfs.plan.attachment import attachments
from ec2zfs.plan.receiver import ReceiverAction
from ec2zfs.plan.simulation import foreseen
from ec2zfs.plan.supposition import supposed
from ec2zfs.plan.upkeep import Step, UpkeepAction
from ec2zfs.runs.receiver_up import is_up
from ec2zfs.runs.upkeep import OpenPool, UpkeepParts, require_volumes


@dataclass(frozen=True)
class Outlook:
    """What would be done. `seen`: the pool is open and was looked at; else it is supposed that all is well with it."""

    receiver: tuple[ReceiverAction, ...]
    actions: tuple[UpkeepAction, ...]
    seen: bool
    standing: Standing
    after: Standing


def look_ahead(parts: UpkeepParts, plan: Callable[[Standing], Step], now: Callable[[], datetime]) -> Outlook:
    """Look, and foresee a plan to its end. Raises what the plan raises."""
    receiver = parts.receiver.starting(on_demand=True)
    standing, seen = _standing(parts, now)
    steps, after = foreseen(plan, standing)
    return Outlook(receiver, tuple(action for step in steps for action in step), seen, standing, after)


def _standing(parts: UpkeepParts, now: Callable[[], datetime]) -> tuple[Standing, bool]:
    volumes = require_volumes(parts)
    if is_up(parts.receiver):
        host = parts.receiver.reach()
        if parts.cloud_pool(host).found():
            return OpenPool(parts, host, None, now).observe(), True
    spare = max(0, attachments(parts.instance_type()) - parts.design.layout.volumes)
    return supposed(parts.design, volumes, spare, now()), False
