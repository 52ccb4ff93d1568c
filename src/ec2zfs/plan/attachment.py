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


def usable_attachments(instance_type: InstanceType) -> int:
    """Volumes of a pool that may hang on an instance of the type: what EC2 says, less its own and one in reserve."""
    own = ROOT + (INTERFACES if instance_type.attachments_shared else 0)
    return max(0, min(instance_type.attachments - own - RESERVED, len(DEVICE_NAMES)))


def require_attachable(volumes: int, instance_type: InstanceType) -> None:
    """Raise `Refused` when that many volumes do not fit; asked before any of them is paid for."""
    usable = usable_attachments(instance_type)
    if volumes > usable:
        raise Refused(
            f"A pool of {volumes} volumes does not fit on a {instance_type.name}: it takes {usable}. EC2 allows "
            f"{instance_type.attachments} attachments, some are the machine's own, and one is kept for a replacement.",
            hint="Take an instance type with more attachments (receiver.instance_type), or fewer and larger volumes.",
        )


def device_names(taken: Collection[str]) -> Iterator[str]:
    """The free names in EC2's order."""
    return (name for name in DEVICE_NAMES if name not in taken)
