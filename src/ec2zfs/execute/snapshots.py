"""Takes snapshots that are due: one name and one transaction group for all datasets of a pool and period.

It must never destroy or rename a snapshot.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from ec2zfs.execute.hooks import Hooks, hooked
from ec2zfs.hosts.host import Host
from ec2zfs.model.snapshot_name import sortable
from ec2zfs.plan.due import TakeSnapshot
from ec2zfs.tools.zfs import Zfs

PERIOD = "ec2zfs:period"
"""The user property of the snapshots that we took; only what bears it is ever destroyed."""


def take(site: Host, actions: Sequence[TakeSnapshot], hooks: Hooks, now: datetime) -> None:
    """Take the snapshots between the hooks. Raises `CommandFailed`; what was taken before it stays."""
    if not actions:
        return
    with hooked(site, hooks):
        for action in actions:
            properties = {"ec2zfs:run": sortable(now.astimezone(UTC)), PERIOD: action.period}
            Zfs(site).snapshot(action.snapshots, properties)
