"""Holds the snapshots of a run at both ends, and lets go what nothing needs any more, also what a killed run left.

A hold that cannot be put on or taken off is told, and stops nothing: streams are checked by themselves, and the next
run looks again where `ec2zfs:holds` says that there may be holds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ec2zfs.errors import CommandFailed, HostError, NoSpace
from ec2zfs.hosts.host import Host
from ec2zfs.model.replication import Replica
from ec2zfs.plan.holds import Holds, Left, released, wanted
from ec2zfs.plan.replication import DatasetPlan, ReplicationPlan
from ec2zfs.plan.replication_steps import RenameCopy
from ec2zfs.tools.zfs_holds import ZfsHolds


@dataclass
class HoldKeeper:
    """The holds of one run for a cloud pool. `held` is what is known to be held; `warnings` grow.

    `left` is what is left to do, by the replica. It and `held` bear the names that copies have at that moment.
    """

    site: Host
    receiver: Host
    pool: str
    held: Holds = field(default_factory=Holds)
    left: dict[Replica, Left] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    unseen: bool = False

    @contextmanager
    def holding(self, plan: ReplicationPlan) -> Iterator[None]:
        """Hold what the plan needs for a `with` block; afterwards release what nothing in `left` needs.

        Where a host is gone all stays held, for the next run.
        """
        self.left = {each.replica: Left(each) for each in plan.datasets}
        self._find(plan)
        self._hold(wanted(plan) - self.held)
        try:
            yield
        except NoSpace:
            self._release(released(self.held, self.left.values()), plan)
            raise
        self._release(released(self.held, self.left.values()), plan)

    def follow(self, renamed: RenameCopy) -> None:
        """Note that a copy was renamed: what is held there, or below, has another name."""
        self.held = self.held.following(renamed)
        self.left = {replica: each.following(renamed) for replica, each in self.left.items()}

    def leave(self, plan: DatasetPlan, renamed: RenameCopy | None) -> None:
        """Note what is left to do for a dataset, and that its copy was renamed."""
        if renamed:
            self.follow(renamed)
        self.left[plan.replica] = Left(plan, begun=True)

    def _find(self, plan: ReplicationPlan) -> None:
        """Look for what earlier runs left, on a host of which ZFS remembers that there may be something."""
        site, receiver = (
            self._found(host, datasets)
            for host, datasets in ((self.site, plan.audit.site), (self.receiver, plan.audit.receiver))
        )
        self.held = Holds(site, receiver)

    def _found(self, host: Host, datasets: Iterable[str]) -> frozenset[str]:
        try:
            holds = ZfsHolds(host).holds(datasets)
        except CommandFailed as error:
            self.unseen = True
            self.warnings.append(f"The holds on snapshots could not be listed: {error}")
            return frozenset()
        return frozenset(hold.snapshot for hold in holds if hold.pool == self.pool)

    def _hold(self, more: Holds) -> None:
        for host, snapshots in ((self.site, more.site), (self.receiver, more.receiver)):
            if not snapshots:
                continue
            try:
                ZfsHolds(host).hold(self.pool, snapshots)
            except CommandFailed as error:
                self.warnings.append(f"Snapshots that are to be sent could not be held against destruction: {error}")
        self.held |= more

    def _release(self, done: Holds, plan: ReplicationPlan) -> None:
        """Let go; where nothing stays, ZFS need not remember any more that there may be something."""
        stay = self.held - done
        self._release_on(self.site, done.site, () if stay.site else {*self.held.site, *plan.audit.site})
        self._release_on(
            self.receiver, done.receiver, () if stay.receiver else {*self.held.receiver, *plan.audit.receiver}
        )
        self.held = stay

    def _release_on(self, host: Host, snapshots: frozenset[str], all_of: Collection[str]) -> None:
        if not snapshots and not all_of:
            return
        try:
            ZfsHolds(host).release(self.pool, snapshots, all_of=() if self.unseen else all_of)
        except (CommandFailed, HostError) as error:
            self.warnings.append(f"Holds on snapshots stay until the next run, which looks again: {error}")
