"""The tags by which we find our things again (fact 14), given at creation in the same call, and what we note on them.

Decides the names and builds EC2's structures; calls nothing. `Name` is for people who look at the console; nothing is
ever found by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
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
RETIRED = "ec2zfs:retired"
"""The volume has left the pool: since when, or `UNPROVEN`."""
GROW_TO = "ec2zfs:grow-to"
GROW_AFTER = "ec2zfs:grow-after"
"""GiB that a volume is to have, and the time before which EC2 does not take it."""
NAME = "Name"

ROLE_VOLUME = "volume"
ROLE_RECEIVER = "receiver"
ROLE_ROOT = "receiver-root"
ROLE_SECURITY_GROUP = "security-group"
ROLE_KEY_PAIR = "key-pair"

UNPROVEN = "unproven"
"""What `RETIRED` says while the pool was not yet seen healthy without the volume."""

LONGEST_VALUE = 256
"""EC2 takes no longer value, in characters."""

_TIME = "%Y-%m-%dT%H:%M:%SZ"


def as_tags(values: Mapping[str, str]) -> list[TagTypeDef]:
    """Values by name, as EC2 writes them."""
    return [{"Key": key, "Value": value} for key, value in values.items()]


def as_values(tags: Iterable[TagTypeDef] | None) -> dict[str, str]:
    """EC2's tags, as values by name."""
    return {tag.get("Key", ""): tag.get("Value", "") for tag in tags or ()}


def time_value(moment: datetime) -> str:
    """A time as our tags write it, `2026-11-25T02:17:00Z`: in whole seconds and never too early."""
    whole = moment.astimezone(UTC).replace(microsecond=0)
    return (whole + timedelta(seconds=bool(moment.microsecond))).strftime(_TIME)


def read_time(value: str) -> datetime | None:
    """The time that a tag says; None when it says none."""
    try:
        return datetime.strptime(value, _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None


def specification(resource: ResourceTypeType, values: Mapping[str, str]) -> TagSpecificationTypeDef:
    """The part of a creating call that tags what it makes, in the same moment (fact 14)."""
    return {"ResourceType": resource, "Tags": as_tags(values)}


def of_pool(pool: str, role: str) -> list[FilterTypeDef]:
    """The filters that find what has this role for this pool."""
    return [{"Name": f"tag:{POOL}", "Values": [pool]}, {"Name": f"tag:{ROLE}", "Values": [role]}]


def filtered(name: str, *values: str) -> FilterTypeDef:
    """One more filter, by EC2's name for it."""
    return {"Name": name, "Values": list(values)}
