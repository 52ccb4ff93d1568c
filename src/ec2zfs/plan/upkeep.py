"""What can be done to a pool that lives, each step as a value. Decides nothing: growth.py, repair.py and others plan.

A step is a batch of actions in their order, of which those of one kind that follow one another may be done side by
side; after each step the pool is looked at again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ec2zfs.model.pool import Member
from ec2zfs.model.scan import ScanFunction
from ec2zfs.model.volume import Volume
from ec2zfs.plan.pool import FormatVolume, OpenVolume
from ec2zfs.plan.volumes import VolumeAction


@dataclass(frozen=True)
class CloseVolume:
    """Close the mapping of a volume that is no member any more."""

    volume: Volume

    def __str__(self) -> str:
        return f"close {self.volume.mapping} ({self.volume.id})"


@dataclass(frozen=True)
class ReplaceMember:
    """Let the new volume take the old member's place; ZFS resilvers on it. The old one stays until that has ended."""

    member: Member
    volume: Volume
    path: str

    def __str__(self) -> str:
        return f"replace {self.member.name} with {self.volume.mapping} ({self.volume.id})"


@dataclass(frozen=True)
class ReopenMember:
    """Bring a member back whose volume is here again: close what is left of it, open it, put it online."""

    member: Member
    volume: Volume

    def __str__(self) -> str:
        return f"bring {self.member.name} ({self.volume.id}) back online"


@dataclass(frozen=True)
class OfflineMember:
    """Take a member offline, so that its volume can leave before the new one has come. The vdev has less redundancy."""

    member: Member

    def __str__(self) -> str:
        return f"take {self.member.name} offline"


@dataclass(frozen=True)
class DropMember:
    """Take the newer half of a replacement out of the pool again, since it failed; the older one stays."""

    member: Member

    def __str__(self) -> str:
        return f"give the replacement by {self.member.name} up"


@dataclass(frozen=True)
class ClearErrors:
    """Let ZFS count a pool's errors anew, and try members again that it had given up."""

    def __str__(self) -> str:
        return "clear the error counters"


@dataclass(frozen=True)
class ExpandMembers:
    """Let LUKS and ZFS use all that the volumes have (facts 6, 58); what is as large as it can be stays so."""

    volumes: tuple[Volume, ...]

    def __str__(self) -> str:
        return f"let LUKS and ZFS use all of {len(self.volumes)} volumes"


@dataclass(frozen=True)
class AddVdev:
    """Add a vdev of these volumes to the pool."""

    kind: str
    volumes: tuple[Volume, ...]
    paths: tuple[str, ...]

    def __str__(self) -> str:
        return f"add vdev {self.volumes[0].place.vdev}: {self.kind} of {len(self.volumes)}"


@dataclass(frozen=True)
class StartScan:
    """Begin a scrub, or let a paused one go on."""

    def __str__(self) -> str:
        return "scrub the pool"


@dataclass(frozen=True)
class AwaitScan:
    """Wait until the scrub, or all resilvering, has ended."""

    function: ScanFunction

    def __str__(self) -> str:
        return f"wait until the {self.function} has ended"


@dataclass(frozen=True)
class NoteScrub:
    """Write into the pool when a scrub found it clean; ZFS forgets it with the next resilver."""

    at: datetime

    def __str__(self) -> str:
        return f"note that the scrub of {self.at:%Y-%m-%d %H:%M} UTC found the pool clean"


UpkeepAction = (
    VolumeAction
    | FormatVolume
    | OpenVolume
    | CloseVolume
    | ReplaceMember
    | ReopenMember
    | OfflineMember
    | DropMember
    | ClearErrors
    | ExpandMembers
    | AddVdev
    | StartScan
    | AwaitScan
    | NoteScrub
)
Step = tuple[UpkeepAction, ...]
