"""Rolls a copy back or sets it aside, after a look whether it still is what was decided upon.

Killed at any moment, the copy has some of its doomed snapshots less, and the next decision is about what is left.
"""

from __future__ import annotations

from dataclasses import dataclass

from ec2zfs.errors import Refused
from ec2zfs.execute.properties import withdraw_notes
from ec2zfs.hosts.host import Host
from ec2zfs.model.hold import Hold
from ec2zfs.plan.reconciliation import Remedy, RollBack, SetAside
from ec2zfs.plan.settled import withdrawn
from ec2zfs.tools import zfs_identity, zfs_repair
from ec2zfs.tools.zfs import Zfs
from ec2zfs.tools.zfs_holds import ZfsHolds


@dataclass(frozen=True)
class Reconciler:
    """Works on the copies of one receiver."""

    receiver: Host

    def freed(self, remedy: Remedy) -> int | None:
        """Bytes that the snapshots which go would free; None where ZFS cannot tell."""
        return zfs_repair.reclaimed(self.receiver, remedy.doomed) if isinstance(remedy, RollBack) else 0

    def require_unheld(self, remedy: Remedy) -> None:
        """Raise `Refused` when somebody else holds a snapshot that would go, with who it is."""
        if isinstance(remedy, RollBack):
            self._own_holds(remedy)

    def carry_out(self, remedy: Remedy) -> None:
        """Do it. Raises `Refused` when the copy is not what was decided upon, or a hold of others is in the way."""
        if isinstance(remedy, SetAside):
            self._set_aside(remedy)
        else:
            self._roll_back(remedy)

    def _roll_back(self, remedy: RollBack) -> None:
        zfs = Zfs(self.receiver)
        now = zfs.dataset(remedy.copy)
        if now is None or now.snapshots != remedy.seen:
            raise self._changed(remedy.copy)
        ours = self._own_holds(remedy)
        if now.partial:
            zfs.drop_partial(remedy.copy)
        if ours:
            ZfsHolds(self.receiver).release(_pool(remedy.copy), (hold.snapshot for hold in ours))
        zfs_repair.destroy(self.receiver, remedy.doomed)
        zfs_repair.roll_back(self.receiver, remedy.to)

    def _set_aside(self, remedy: SetAside) -> None:
        now = Zfs(self.receiver).dataset(remedy.copy)
        if now is None or now.guid != remedy.guid:
            raise self._changed(remedy.copy)
        withdraw_notes(self.receiver, withdrawn(_pool(remedy.copy)))
        # Else the next run would take it for the copy of a source that was renamed, and move it back.
        zfs_identity.forget(self.receiver, remedy.copy)
        zfs_repair.rename(self.receiver, remedy.copy, remedy.name)

    def _own_holds(self, remedy: RollBack) -> tuple[Hold, ...]:
        doomed = {str(snapshot) for snapshot in remedy.doomed}
        listed = ZfsHolds(self.receiver).holds((remedy.copy,)) if doomed else ()
        found = tuple(hold for hold in listed if hold.snapshot in doomed)
        others = [hold for hold in found if hold.pool != _pool(remedy.copy)]
        if others:
            words = ", ".join(f"{hold.snapshot} by '{hold.tag}'" for hold in others)
            raise Refused(
                f"On {self.receiver.name} snapshots that would be destroyed are held by others: {words}. "
                "Nothing was changed.",
                hint=f"`zfs release '{others[0].tag}' '{others[0].snapshot}'` there ends a hold that is not wanted any "
                "more; `--set-aside` keeps them.",
            )
        return found

    def _changed(self, copy: str) -> Refused:
        return Refused(
            f"{copy} on {self.receiver.name} changed since it was looked at; nothing was done.",
            hint="Run the command again: it shows what would be done now.",
        )


def _pool(copy: str) -> str:
    return copy.partition("/")[0]
