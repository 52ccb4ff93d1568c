"""Every hold on the snapshots of the sources and of the cloud pool, with whether it is of use; and taking one off.

Looks only, but for `release`, which takes off what is ours for this pool and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ec2zfs.errors import Refused
from ec2zfs.execute.replication_state import source_datasets, target_datasets
from ec2zfs.hosts.host import Host
from ec2zfs.model.hold import STAGING, Hold
from ec2zfs.model.replication import ReplicationState
from ec2zfs.model.source import Source
from ec2zfs.plan.holds import Holds, in_use
from ec2zfs.plan.replication import plan_replication
from ec2zfs.tools.zfs_holds import ZfsHolds
from ec2zfs.tools.zfs_identity import identities


@dataclass(frozen=True)
class ListedHold:
    """A hold and where it is. `needed` is None when that cannot be told: the pool is locked, or it is not ours."""

    host: Host
    hold: Hold
    needed: bool | None = None


def list_holds(site: Host, sources: Sequence[Source], pool: str, receiver: Host | None) -> tuple[ListedHold, ...]:
    """All holds at the site, and those of the pool where it is imported on the receiver, in order of the snapshots."""
    ours = source_datasets(site, sources)
    copies = target_datasets(site, receiver, pool) if receiver else ()
    found = [ListedHold(site, hold) for hold in ZfsHolds(site).holds(each.name for each in ours)]
    if receiver is None:
        return tuple(sorted(found, key=_order))
    there = [ListedHold(receiver, hold) for hold in ZfsHolds(receiver).holds(each.name for each in copies)]
    held = Holds(_of_pool(found, pool), _of_pool(there, pool))
    state = ReplicationState(pool, ours, copies, identities=identities(receiver, pool))
    used = in_use(held, plan_replication(state))
    judged = (*_judged(found, pool, used.site), *_judged(there, pool, used.receiver))
    return tuple(sorted(judged, key=_order))


def release(listed: Sequence[ListedHold], pool: str, snapshots: Sequence[str]) -> tuple[ListedHold, ...]:
    """Take the pool's holds off the snapshots, and return them. Raises `Refused` before anything is taken off."""
    chosen = tuple(_releasable(listed, pool, name) for name in dict.fromkeys(snapshots))
    for host in dict.fromkeys(each.host.name for each in chosen):
        there = [each for each in chosen if each.host.name == host]
        ZfsHolds(there[0].host).release(pool, [each.hold.snapshot for each in there])
    return chosen


def _releasable(listed: Iterable[ListedHold], pool: str, snapshot: str) -> ListedHold:
    on_it = [each for each in listed if each.hold.snapshot == snapshot]
    ours = next((each for each in on_it if each.hold.pool == pool), None)
    if ours:
        return ours
    if not on_it:
        raise Refused(
            f"Nothing is held as {snapshot}.",
            hint="`ec2zfs holds` shows what is; the pool's own snapshots only while it is unlocked on a receiver.",
        )
    if any(each.hold.tag == STAGING for each in on_it):
        raise Refused(
            f"{snapshot} is held for staging, which goes on from it; nothing was released.",
            hint="The next `ec2zfs stage` with a newer snapshot lets it go.",
        )
    tags = " and ".join(f"`{each.hold.tag}`" for each in on_it)
    raise Refused(
        f"{snapshot} is held with the tag {tags}, which ec2zfs did not put there for {pool}; nothing was released.",
        hint=f"Whoever did knows what it is for. `zfs release TAG '{snapshot}'` on {on_it[0].host.name} takes it off.",
    )


def _of_pool(listed: Iterable[ListedHold], pool: str) -> frozenset[str]:
    return frozenset(each.hold.snapshot for each in listed if each.hold.pool == pool)


def _judged(listed: Iterable[ListedHold], pool: str, used: frozenset[str]) -> tuple[ListedHold, ...]:
    return tuple(
        ListedHold(each.host, each.hold, each.hold.snapshot in used if each.hold.pool == pool else None)
        for each in listed
    )


def _order(listed: ListedHold) -> tuple[str, str, str]:
    return listed.host.name, listed.hold.snapshot, listed.hold.tag
