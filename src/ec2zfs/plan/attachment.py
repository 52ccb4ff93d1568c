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
"""One stays free when a pool is made, so that a volume can be replaced while the old one is attached (fact 7)."""

DEVICE_NAMES = (
    *(f"/dev/sd{letter}" for letter in "fghijklmnop"),
    *(f"/dev/xvd{first}{second}" for first in "bc" for second in ascii_lowercase),
)
"""The names that EC2 takes for data volumes. They say nothing of the device in the guest (fact 8)."""


def attachments(instance_type: InstanceType) -> int:
    """Volumes that can hang on an instance of the type: what EC2 says, less its own."""
    own = ROOT + (INTERFACES if instance_type.attachments_shared else 0)
    return max(0, min(instance_type.attachments - own, len(DEVICE_NAMES)))


def require_attachable(places: int, instance_type: InstanceType, *, reserve: int = 0) -> None:
    """Raise `Refused` when a pool of so many places does not fit on an instance of the type.

    `reserve`: how many attachments are to stay free. A pool that is made, or gets a vdev, leaves `RESERVED`, which is
    asked for before its volumes are paid for; one that exists may take the last.
    """
    most = max(0, attachments(instance_type) - reserve)
    if places > most:
        kept = ", and one is kept for a replacement" if reserve else ""
        raise Refused(
            f"A pool of {places} volumes does not fit on a {instance_type.name}: it takes {most}. EC2 allows "
            f"{instance_type.attachments} attachments, some are the machine's own{kept}.",
            hint="Take an instance type with more attachments (receiver.instance_type), or fewer and larger volumes.",
        )


def device_names(taken: Collection[str]) -> Iterator[str]:
    """The free names in EC2's order."""
    return (name for name in DEVICE_NAMES if name not in taken)
