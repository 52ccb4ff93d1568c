"""Decides how a copy that parted from its source is brought together with it again: rolled back, or set aside.

Pure. It is what `ec2zfs repair` previews, has confirmed and does; nothing else ever rolls a copy back, or destroys a
snapshot of one that no policy bids to prune.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ec2zfs.errors import Refused
from ec2zfs.model.replication import ReplicationState
from ec2zfs.model.snapshot import Dataset, ResumeToken, Snapshot
from ec2zfs.plan.conflicts import Conflict, Diverged, NameTooLong, PlaceTaken, TargetModified
from ec2zfs.plan.copies import Copies
from ec2zfs.plan.replication import DatasetPlan, ReplicationPlan


@dataclass(frozen=True)
class RollBack:
    """Destroy the copy's snapshots `doomed` by name, and discard what was written since the snapshot `to`.

    `seen` is the copy's whole history at the time of the decision: with another one nothing may be done. `written` is
    in bytes.
    """

    copy: str
    to: Snapshot
    doomed: tuple[Snapshot, ...]
    seen: tuple[Snapshot, ...]
    written: int
    partial: ResumeToken | None = None

    def __str__(self) -> str:
        gone = f"destroy {len(self.doomed)} of its snapshots and " if self.doomed else ""
        return f"{gone}roll {self.copy} back to @{self.to.name}"


@dataclass(frozen=True)
class SetAside:
    """Give the copy another name, with all that stands below it, so that the next run makes a new copy.

    `guid` is that of the dataset which is meant, `below` names the copies that go with it.
    """

    copy: str
    name: str
    guid: int
    below: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"rename {self.copy} to {self.name}"


Remedy = RollBack | SetAside


def dataset_plan(plan: ReplicationPlan, name: str) -> DatasetPlan:
    """The plan of a source, named by itself or by its copy. Raises `Refused` when there is none."""
    for each in plan.datasets:
        if each.replica.source == name:
            return each
    for each in plan.datasets:
        if each.replica.target == name:
            return each
    raise Refused(
        f"{name} is neither a dataset that is backed up nor the copy of one.",
        hint="`ec2zfs backup --dry-run` lists the datasets.",
    )


def plan_remedy(conflict: Conflict, state: ReplicationState, now: datetime, *, set_aside: bool) -> Remedy:
    """What brings the two together: a roll back where a common snapshot allows it, unless `set_aside` is asked for.

    `now` (UTC) becomes part of the name of what is set aside. Raises `Refused` where no change to the copy would help.
    """
    if isinstance(conflict, NameTooLong):
        raise Refused(f"{conflict} Nothing can be repaired at the copy.", hint=conflict.advice())
    if isinstance(conflict, PlaceTaken) and conflict.owner_follows and not set_aside:
        raise Refused(str(conflict), hint=conflict.advice())
    copy = next((target for target in state.targets if target.name == conflict.replica.target), None)
    if copy is None:
        raise Refused(
            f"{conflict.replica.target} does not stand in the pool yet: the copy of {conflict.replica.source} has "
            "first to follow the source, which was renamed.",
            hint="`ec2zfs backup` moves it there; then type this again.",
        )
    if isinstance(conflict, Diverged | TargetModified) and not set_aside:
        common = conflict.common if isinstance(conflict, Diverged) else conflict.newest
        return _roll_back(copy, common.guid)
    return _set_aside(copy, state, now)


def _roll_back(copy: Dataset, guid: int) -> RollBack:
    place = next(index for index, snapshot in enumerate(copy.snapshots) if snapshot.guid == guid)
    to, doomed = copy.snapshots[place], copy.snapshots[place + 1 :]
    return RollBack(copy.name, to, doomed, copy.snapshots, copy.written, copy.partial)


def _set_aside(copy: Dataset, state: ReplicationState, now: datetime) -> SetAside:
    copies, stamp = Copies.of(state), f"set-aside-{now:%Y%m%dT%H%MZ}"
    for name in (f"{copy.name}-{stamp}", f"{state.pool}/{stamp}"):
        if name not in copies.standing and copies.fits(copy.name, name):
            below = tuple(other for other in copies.standing if other.startswith(f"{copy.name}/"))
            return SetAside(copy.name, name, copy.guid, below)
    raise Refused(
        f"No name could be made for setting {copy.name} aside: its snapshots' names would be too long, or another was "
        "set aside in this very minute.",
        hint=f"Try again in a minute, or rename it by hand on the receiver: `zfs rename '{copy.name}' NAME`.",
    )
