"""The ways in which a source and its copy can stand against each other, each with its evidence and what to do.

A conflict stops the replication of its dataset and of nothing else. The daily run never rolls a target back (peers,
pain 3): that is the operator's decision, for which there is `ec2zfs repair`.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from ec2zfs.errors import ReplicationConflict
from ec2zfs.model.replication import Replica
from ec2zfs.model.snapshot import Bookmark, Snapshot

LONGEST_NAME = 255
"""Bytes in the longest name of a dataset, snapshot or bookmark (ZFS_MAX_DATASET_NAME_LEN, which counts a final NUL)."""

RECEIVING = "/%recv"
"""What ZFS puts after a copy's name while an increment is received. Where that gets too long nothing is refused: the
kernel panics and the pool stands still until the machine starts anew (seen with OpenZFS 2.3.2)."""


@dataclass(frozen=True)
class Diverged:
    """The target has snapshots after the newest common one that the source does not have."""

    replica: Replica
    common: Snapshot | Bookmark
    only_source: tuple[Snapshot, ...]
    only_target: tuple[Snapshot, ...]

    def __str__(self) -> str:
        return (
            f"{self.replica.target} has snapshots that {self.replica.source} does not have, after the last common one "
            f"({self.common}): {_few(self.only_target)}. {len(self.only_source)} newer ones wait at the source."
        )

    def advice(self) -> str:
        """What the operator can do."""
        return (
            f"{_repair(self.replica)} destroys these and rolls the copy back to the last common one; with "
            "`--set-aside` it keeps the copy under another name, and the next run makes a new one."
        )


@dataclass(frozen=True)
class NoCommonBase:
    """Both sides have snapshots, but not one of the target's stands at the source, not even as a bookmark."""

    replica: Replica
    only_source: tuple[Snapshot, ...]
    only_target: tuple[Snapshot, ...]

    def __str__(self) -> str:
        return (
            f"{self.replica.target} and {self.replica.source} have no snapshot in common (compared by GUID): the "
            f"target has {_few(self.only_target)}, the source {_few(self.only_source)}."
        )

    def advice(self) -> str:
        """What the operator can do."""
        return f"The copy is kept as it is. {_beginning(self.replica)}"


@dataclass(frozen=True)
class TargetModified:
    """Somebody wrote into the target after its newest snapshot."""

    replica: Replica
    newest: Snapshot
    written: int

    def __str__(self) -> str:
        return f"{self.replica.target} was modified on the receiver: {self.written} bytes since {self.newest}."

    def advice(self) -> str:
        """What the operator can do."""
        return (
            f"{_repair(self.replica)} discards what was written and rolls the copy back to {self.newest}; with "
            "`--set-aside` it keeps the copy under another name, and the next run makes a new one."
        )


@dataclass(frozen=True)
class TargetOccupied:
    """A dataset without any snapshot stands where the copy should be made, such as a parent made for other copies."""

    replica: Replica

    def __str__(self) -> str:
        return f"{self.replica.target} exists on the receiver without a snapshot, so nothing can be received into it."

    def advice(self) -> str:
        """What the operator can do."""
        return _beginning(self.replica)


@dataclass(frozen=True)
class PlaceTaken:
    """The source was renamed, and another dataset stands where its copy, which is at `strayed`, should follow it.

    `snapshots` are those of what stands there; `owner` is the source whose copy it is, "" when it is of none of now.
    `owner_follows`: that source was renamed too, and its copy cannot follow either.
    """

    replica: Replica
    strayed: str
    snapshots: tuple[Snapshot, ...]
    owner: str = ""
    owner_follows: bool = False

    def __str__(self) -> str:
        what = f"the copy of {self.owner}" if self.owner else "another dataset"
        held = f"with the snapshots {_few(self.snapshots)}" if self.snapshots else "without a snapshot"
        return (
            f"{self.replica.source} was renamed, and its copy {self.strayed} cannot follow it to "
            f"{self.replica.target}, where {what} stands, {held}."
        )

    def advice(self) -> str:
        """What the operator can do."""
        repair = f"ec2zfs repair {shlex.quote(self.replica.source)}"
        if self.owner_follows:
            return (
                f"`ec2zfs repair {shlex.quote(self.owner)} --dry-run` tells why the copy of {self.owner} does not "
                f"follow; once it does, this one does too. `{repair} --set-aside` gives it another name instead, and "
                f"{self.owner} gets a new copy."
            )
        return (
            f"`{repair}` sets {self.replica.target} aside under another name, and the next run moves {self.strayed} "
            "there."
        )


@dataclass(frozen=True)
class EncryptionChanged:
    """One side is natively encrypted and the other is not: raw and plain streams never mix (fact 38)."""

    replica: Replica

    def __str__(self) -> str:
        now, then = ("is", "is not") if self.replica.raw else ("is not", "is")
        return (
            f"{self.replica.source} {now} natively encrypted, but its copy {self.replica.target} {then}: raw and plain "
            "streams must never be mixed in one dataset."
        )

    def advice(self) -> str:
        """What the operator can do."""
        return _beginning(self.replica)


@dataclass(frozen=True)
class KindChanged:
    """One side is a file system and the other a volume."""

    replica: Replica

    def __str__(self) -> str:
        return f"{self.replica.source} is a {self.replica.kind}, but {self.replica.target} is not."

    def advice(self) -> str:
        """What the operator can do."""
        return _beginning(self.replica)


def length_of_copy(target: str, snapshot: str) -> int:
    """Bytes in the longest name that a snapshot's copy takes in the target, on its way or once it is there."""
    return max(len(f"{target}@{snapshot}".encode()), len(f"{target}{RECEIVING}".encode()))


@dataclass(frozen=True)
class NameTooLong:
    """With the pool's name before it, a snapshot's name would be longer than ZFS allows."""

    replica: Replica
    snapshot: Snapshot

    def __str__(self) -> str:
        length = length_of_copy(self.replica.target, self.snapshot.name)
        return (
            f"The copy of {self.snapshot} would have a name of {length} bytes in {self.replica.target} "
            f"(`{RECEIVING}` is put after it on its way); ZFS allows {LONGEST_NAME}."
        )

    def advice(self) -> str:
        """What the operator can do."""
        return f"Give the snapshot or a dataset above it a shorter name, such as `zfs rename '{self.snapshot}' NEW`."


@dataclass(frozen=True)
class SendFlagsUnknown:
    """The copy was begun with flags that this version does not send with, so no stream of ours continues it."""

    replica: Replica
    told: str

    def __str__(self) -> str:
        return (
            f"{self.replica.target} was begun with `zfs send {self.told}` (its property ec2zfs:send), which this "
            "version of ec2zfs does not know; flags must not change within a copy."
        )

    def advice(self) -> str:
        """What the operator can do."""
        return f"Use the version of ec2zfs that made it, or else {_beginning(self.replica)}"


Conflict = (
    Diverged
    | NoCommonBase
    | TargetModified
    | TargetOccupied
    | PlaceTaken
    | EncryptionChanged
    | KindChanged
    | NameTooLong
    | SendFlagsUnknown
)


def conflict_error(conflict: Conflict) -> ReplicationConflict:
    """The error that tells the operator of a conflict."""
    return ReplicationConflict(str(conflict), hint=f"Nothing was sent for it. {conflict.advice()}")


def _repair(replica: Replica) -> str:
    return f"`ec2zfs repair {shlex.quote(replica.source)} --dry-run` shows what could be done. Without that word it"


def _beginning(replica: Replica) -> str:
    command = f"`ec2zfs repair {shlex.quote(replica.source)}`"
    return f"{command} sets {replica.target} aside under another name, and the next run makes a new copy."


def _few(snapshots: Sequence[Snapshot]) -> str:
    shown = ", ".join(f"@{snapshot.name}" for snapshot in snapshots[:3])
    more = len(snapshots) - 3
    return f"{shown} and {more} more" if more > 0 else shown or "none"
