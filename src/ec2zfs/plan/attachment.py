"""How many volumes may hang on an instance, and under which device names (facts 7, 8). Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from string import ascii_lowercase

from ec2zfs.errors import Refused
from ec2zfs.model.instance import InstanceType

ROOT = 1
INTERFACES = 1
"""Network interfaces of a receiver; they take attachments where the type shares them (fact 7)."""
RESERVED = 1
"""One slot stays free, so that a volume can be replaced while the old one is still attached (fact 7)."""

DEVICE_NAMES = (
    *(f"/dev/sd{letter}" for letter in "fghijklmnop"),
    *(f"/dev/xvd{first}{second}" for first in "bc" for second in ascii_lowercase),
)
"""The names that EC2 takes for data volumes. They say nothing of the device in the guest (fact 8)."""


def attachments(instance_type: InstanceType) -> int:
    """Volumes that can hang on an instance of the type: what EC2 says, less its own."""
    own = ROOT + (INTERFACES if instance_type.attachments_shared else 0)
    return max(0, min(instance_type.attachments - own, len(DEVICE_NAMES)))


def usable_attachments(instance_type: InstanceType) -> int:
    """Volumes of which a pool on an instance of the type may be made: one attachment stays in reserve."""
    return max(0, attachments(instance_type) - RESERVED)


def require_attachable(places: int, instance_type: InstanceType, *, volumes: int = 0) -> None:
    """Raise `Refused` when a pool of so many places does not fit; asked before any of its volumes is paid for.

    `volumes`: how many are to hang there at a time, when some places have two; the reserve is for those.
    """
    usable = usable_attachments(instance_type)
    if places > usable:
        raise Refused(
            f"A pool of {places} volumes does not fit on a {instance_type.name}: it takes {usable}. EC2 allows "
            f"{instance_type.attachments} attachments, some are the machine's own, and one is kept for a replacement.",
            hint="Take an instance type with more attachments (receiver.instance_type), or fewer and larger volumes.",
        )
    most = attachments(instance_type)
    if volumes > most:
        raise Refused(
            f"{volumes} volumes stand in the pool's {places} places, since some are being replaced; a "
            f"{instance_type.name} takes {most}.",
            hint="Take an instance type with more attachments (receiver.instance_type) until they are replaced.",
        )


def device_names(taken: Collection[str]) -> Iterator[str]:
    """The free names in EC2's order."""
    return (name for name in DEVICE_NAMES if name not in taken)
