"""Reads what EC2 describes into our nouns. Pure: calls nothing, and trusts nothing but EC2's fields and our tags."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from ec2zfs.cloud import tags
from ec2zfs.errors import CloudError
from ec2zfs.model.instance import Instance, InstanceState, Market
from ec2zfs.model.layout import Place
from ec2zfs.model.volume import Attachment, AttachmentState, Retirement, Schedule, Volume, VolumeState

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import InstanceTypeDef, VolumeTypeDef


def volume_of(described: VolumeTypeDef) -> Volume:
    """A volume by EC2's description. Raises `CloudError` when a tag of ours is missing or malformed."""
    volume_id = described["VolumeId"]
    values = tags.as_values(described.get("Tags"))
    return Volume(
        id=volume_id,
        pool=values.get(tags.POOL, ""),
        place=Place(_number(volume_id, values, tags.VDEV), _number(volume_id, values, tags.SLOT)),
        generation=_number(volume_id, values, tags.GENERATION),
        size_gib=described["Size"],
        type=described.get("VolumeType", "standard"),
        zone=described["AvailabilityZone"],
        state=VolumeState(described["State"]),
        attachment=_attachment(described),
        retirement=_retirement(volume_id, values),
        schedule=_schedule(volume_id, values),
    )


def instance_of(described: InstanceTypeDef) -> Instance:
    """An instance by EC2's description; its address is the public one, or the private where there is none."""
    values = tags.as_values(described.get("Tags"))
    return Instance(
        id=described["InstanceId"],
        pool=values.get(tags.POOL, ""),
        type=described["InstanceType"],
        zone=described.get("Placement", {}).get("AvailabilityZone", ""),
        state=InstanceState(described["State"]["Name"]),
        market=Market.SPOT if described.get("InstanceLifecycle") == "spot" else Market.ON_DEMAND,
        address=described.get("PublicIpAddress") or described.get("PrivateIpAddress") or "",
        host_key=values.get(tags.HOST_KEY, ""),
        launched=described["LaunchTime"],
        image=described.get("ImageId", ""),
        key_name=described.get("KeyName", ""),
    )


def _attachment(described: VolumeTypeDef) -> Attachment | None:
    bonds = [bond for bond in described.get("Attachments", []) if bond.get("State") != "detached"]
    if not bonds:
        return None
    bond = bonds[0]
    return Attachment(bond.get("InstanceId", ""), bond.get("Device", ""), AttachmentState(bond["State"]))


def _retirement(volume_id: str, values: Mapping[str, str]) -> Retirement | None:
    if tags.RETIRED not in values:
        return None
    unproven = values[tags.RETIRED] == tags.UNPROVEN
    return Retirement(None if unproven else _time(volume_id, values, tags.RETIRED))


def _schedule(volume_id: str, values: Mapping[str, str]) -> Schedule | None:
    if tags.GROW_TO not in values and tags.GROW_AFTER not in values:
        return None
    return Schedule(_number(volume_id, values, tags.GROW_TO), _time(volume_id, values, tags.GROW_AFTER))


def _number(volume_id: str, values: Mapping[str, str], tag: str) -> int:
    value = values.get(tag, "")
    if not value.isascii() or not value.isdecimal() or int(value) < 1:
        raise _malformed(volume_id, values, tag, "the number it had")
    return int(value)


def _time(volume_id: str, values: Mapping[str, str], tag: str) -> datetime:
    moment = tags.read_time(values.get(tag, ""))
    if moment is None:
        raise _malformed(volume_id, values, tag, "the time it had, such as 2026-11-25T02:17:00Z")
    return moment


def _malformed(volume_id: str, values: Mapping[str, str], tag: str, what: str) -> CloudError:
    said = values.get(tag, "")
    return CloudError(
        f"Volume {volume_id} is tagged as one of pool {values.get(tags.POOL)}, but its tag {tag} is {said!r}.",
        hint=f"Set {tag} to {what}, or take the tag {tags.ROLE} away if it is none of ours.",
    )
