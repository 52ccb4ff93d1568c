"""The tags by which we find our things again (fact 14): all are given at creation, in the same call.

Decides the names and builds EC2's structures; calls nothing. `Name` is for people who look at the console; nothing is
ever found by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_ec2.literals import ResourceTypeType
    from mypy_boto3_ec2.type_defs import FilterTypeDef, TagSpecificationTypeDef, TagTypeDef

POOL = "ec2zfs:pool"
VDEV = "ec2zfs:vdev"
SLOT = "ec2zfs:slot"
GENERATION = "ec2zfs:generation"
ROLE = "ec2zfs:role"
HOST_KEY = "ec2zfs:host-key"
NAME = "Name"

ROLE_VOLUME = "volume"
ROLE_RECEIVER = "receiver"
ROLE_ROOT = "receiver-root"
ROLE_SECURITY_GROUP = "security-group"
ROLE_KEY_PAIR = "key-pair"

LONGEST_VALUE = 256
"""EC2 takes no longer value, in characters."""


def as_tags(values: Mapping[str, str]) -> list[TagTypeDef]:
    """Values by name, as EC2 writes them."""
    return [{"Key": key, "Value": value} for key, value in values.items()]


def as_values(tags: Iterable[TagTypeDef] | None) -> dict[str, str]:
    """EC2's tags, as values by name."""
    return {tag.get("Key", ""): tag.get("Value", "") for tag in tags or ()}


def specification(resource: ResourceTypeType, values: Mapping[str, str]) -> TagSpecificationTypeDef:
    """The part of a creating call that tags what it makes, in the same moment (fact 14)."""
    return {"ResourceType": resource, "Tags": as_tags(values)}


def of_pool(pool: str, role: str) -> list[FilterTypeDef]:
    """The filters that find what has this role for this pool."""
    return [{"Name": f"tag:{POOL}", "Values": [pool]}, {"Name": f"tag:{ROLE}", "Values": [role]}]


def filtered(name: str, *values: str) -> FilterTypeDef:
    """One more filter, by EC2's name for it."""
    return {"Name": name, "Values": list(values)}
