"""An EBS volume as we know it: its place in the pool, its generation and what EC2 says of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from ec2zfs.model.layout import Place

SIZES_GIB: dict[str, tuple[int, int]] = {
    "gp2": (1, 16_384),
    "gp3": (1, 65_536),
    "sc1": (125, 16_384),
    "st1": (125, 16_384),
}
"""The least and the greatest size of each EBS volume type, as of botocore 1.44.5, November 2026 (fact 1)."""


class VolumeState(StrEnum):
    """EC2's `VolumeState` (fact 9)."""

    CREATING = "creating"
    AVAILABLE = "available"
    IN_USE = "in-use"
    DELETING = "deleting"
    DELETED = "deleted"
    ERROR = "error"


class AttachmentState(StrEnum):
    """EC2's `VolumeAttachmentState` (fact 9)."""

    ATTACHING = "attaching"
    ATTACHED = "attached"
    DETACHING = "detaching"
    DETACHED = "detached"
    BUSY = "busy"


@dataclass(frozen=True)
class Attachment:
    """The bond between a volume and an instance."""

    instance_id: str
    device: str
    state: AttachmentState


@dataclass(frozen=True)
class Retirement:
    """A volume belongs to the pool no more and is only kept. `since`: from when the pool was seen healthy without it.

    None while that was never seen. It is deleted when its grace time from then has passed, and never before.
    """

    since: datetime | None = None


@dataclass(frozen=True)
class Schedule:
    """EC2 takes the volume's modification later: to `size_gib`, not before the time, which EC2 told (fact 4)."""

    size_gib: int
    not_before: datetime


@dataclass(frozen=True)
class Volume:
    """A volume of a cloud pool, found by its tags (fact 14), never by a device name (fact 8).

    `generation` counts the volumes that have stood in this place, from 1. `retirement`: it has left the pool.
    """

    id: str
    pool: str
    place: Place
    generation: int
    size_gib: int
    type: str
    zone: str
    state: VolumeState
    attachment: Attachment | None = None
    retirement: Retirement | None = None
    schedule: Schedule | None = None

    @property
    def attached(self) -> bool:
        """Whether it hangs on a machine for good."""
        return self.attachment is not None and self.attachment.state is AttachmentState.ATTACHED

    @property
    def unproven(self) -> bool:
        """Whether it is only kept, and the pool was not seen healthy without it yet."""
        return self.retirement is not None and self.retirement.since is None

    @cached_property
    def serial(self) -> str:
        """The serial number under which the guest sees the disk: the id without its dash (fact 8)."""
        return self.id.replace("-", "")

    @cached_property
    def mapping(self) -> str:
        """The name of the opened LUKS mapping: `/dev/mapper/<mapping>`, and so the member's name in `zpool status`."""
        return mapping_name(self.pool, self.place, self.generation)


def mapping_name(pool: str, place: Place, generation: int) -> str:
    """The device-mapper name of a place of a pool: `cloud-v2s5-g1`."""
    return f"{pool}-{place}-g{generation}"
