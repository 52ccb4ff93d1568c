"""The EBS volumes of one pool: found by their tags, made, changed, deleted and awaited (facts 4, 9, 12, 14).

Knows nothing of what is on a volume; never deletes or detaches but when told so for one volume.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, cast

from ec2zfs.cloud import tags
from ec2zfs.cloud.descriptions import volume_of
from ec2zfs.cloud.errors import MODIFICATION_UNDER_WAY, aws_errors
from ec2zfs.cloud.patience import Patience
from ec2zfs.cloud.protocols import VolumeOrder
from ec2zfs.cloud.tokens import DATE_STEP_SECONDS, MISMATCH, MOST_ATTEMPTS, age_seconds, client_token, spent
from ec2zfs.errors import CloudError, ModificationTooSoon, NotInTime, Refused
from ec2zfs.model.volume import AttachmentState, Schedule, Volume, VolumeState

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.literals import VolumeTypeType
    from mypy_boto3_ec2.type_defs import VolumeTypeDef

__all__ = ["VolumeOrder", "Volumes"]

_GONE = frozenset({VolumeState.DELETING, VolumeState.DELETED})
_UNKNOWN = "InvalidVolume.NotFound"
_NEVER_MODIFIED = "InvalidVolumeModification.NotFound"
_PAGE = 500


class Volumes:
    """The volumes of the pool in the client's region; a `VolumesApi`. Threads may share it."""

    def __init__(self, ec2: EC2Client, pool: str, patience: Patience = Patience()) -> None:  # noqa: B008 frozen
        self._ec2 = ec2
        self._pool = pool
        self._patience = patience

    def volumes(self) -> list[Volume]:
        """The pool's volumes by place and generation, without those that are deleted or being deleted."""
        return [volume for volume in self._listed() if volume.state not in _GONE]

    def create(self, order: VolumeOrder) -> Volume:
        """Ask for a volume, tagged from its first moment; it may still be `creating`.

        The same order again gives the same volume, however the first call ended (fact 12, cloud/tokens.py). Raises
        `Refused` when another volume stands there with other values; `NoCapacity`, `CredentialsError`, `CloudError`.
        """
        for attempt in range(MOST_ATTEMPTS):
            if volume := self._asked(order, attempt):
                return volume
        raise CloudError(
            f"{order.place} of pool {self._pool} was created and deleted {MOST_ATTEMPTS} times of late.",
            hint="EC2 forgets that after a day; run again then.",
            action="ec2:CreateVolume",
        )

    def attach(self, volume: Volume, instance_id: str, device: str) -> None:
        """Ask for the bond; it may still be `attaching`. Success when it is attached there already, under any device.

        Raises `Refused` when it is attached elsewhere, `CloudError` otherwise.
        """

        @aws_errors()
        def ask() -> None:
            self._ec2.attach_volume(VolumeId=volume.id, InstanceId=instance_id, Device=device)

        try:
            self._patience.settled(ask, _UNKNOWN, "InvalidInstanceID.NotFound")
        except CloudError as error:
            if error.code != "VolumeInUse":
                raise
            self._require_bond(volume, instance_id, error)

    def detach(self, volume: Volume, *, force: bool = False) -> None:
        """Ask for the end of the bond; it may still be `detaching`. Success when it is attached nowhere.

        `force`: without asking the machine, which may lose what it has not written yet.
        """
        bond = volume.attachment or self._now(volume).attachment
        if bond is None:
            return
        try:
            with aws_errors():
                self._ec2.detach_volume(VolumeId=volume.id, InstanceId=bond.instance_id, Force=force)
        except CloudError as error:
            if error.code != "IncorrectState":
                raise
            left = self._now(volume).attachment
            if left is not None and left.state is not AttachmentState.DETACHING:
                raise

    def delete(self, volume: Volume) -> None:
        """Delete it for ever. Success when it is gone already. Raises `Refused` while it is attached."""
        try:
            with aws_errors():
                self._ec2.delete_volume(VolumeId=volume.id)
        except CloudError as error:
            if error.code == "VolumeInUse":
                raise Refused(
                    f"Volume {volume.id} ({volume.place}) is attached and was not deleted.", hint="Detach it first."
                ) from error
            if error.code != _UNKNOWN:
                raise

    def modify(self, volume: Volume, size_gib: int, volume_type: str) -> None:
        """Ask for another size or type; `volumes()` shows both as soon as they can be used (`optimizing`, fact 4).

        Success when it has them, or is on its way to them. Raises `ModificationTooSoon` while EC2 is at another
        modification of it or has made too many of late, `Refused` for a smaller size, and `CloudError`.
        """
        # EC2 counts a modification to what the volume is already, too, and takes no client token (facts 4, 12).
        now = self._now(volume)
        if size_gib < now.size_gib:
            raise Refused(f"Volume {now.id} ({now.place}) has {now.size_gib} GiB and cannot shrink to {size_gib}.")
        if (now.size_gib, now.type) == (size_gib, volume_type):
            return
        kind = cast("VolumeTypeType", volume_type)
        try:
            with aws_errors():
                self._ec2.modify_volume(VolumeId=volume.id, Size=size_gib, VolumeType=kind)
        except ModificationTooSoon as error:
            if error.code != MODIFICATION_UNDER_WAY or self._target(volume) != (size_gib, volume_type):
                raise

    def retire(self, volume: Volume, since: datetime | None) -> None:
        """Mark it as a volume that is only kept (`Volume.retirement`)."""
        self._tag(volume, {tags.RETIRED: tags.time_value(since) if since else tags.UNPROVEN})

    def schedule(self, volume: Volume, schedule: Schedule | None) -> None:
        """Note a modification that EC2 takes later (`Volume.schedule`); None takes the note away."""
        if schedule:
            noted = {tags.GROW_TO: str(schedule.size_gib), tags.GROW_AFTER: tags.time_value(schedule.not_before)}
            self._tag(volume, noted)
            return
        with aws_errors():
            self._ec2.delete_tags(Resources=[volume.id], Tags=[{"Key": tags.GROW_TO}, {"Key": tags.GROW_AFTER}])

    def awaited(
        self,
        ids: Collection[str],
        done: Callable[[Volume], bool],
        limit_seconds: float,
        *,
        despite_error: bool = False,
    ) -> list[Volume]:
        """Wait until `done` holds for all of these volumes; in the order of ids.

        One (paginated) describe a look, however many they are (fact 13). A volume that EC2 does not know yet is not
        done (fact 14). Raises `CloudError` at once when one is in `error`, which EC2's own waiters overlook (fact 9),
        unless `despite_error`; and `NotInTime` past the limit, naming those that are not done and their states.
        """
        seen: dict[str, Volume] = {}

        def look() -> list[Volume] | None:
            seen.clear()
            seen.update((volume.id, volume) for volume in self.volumes() if volume.id in ids)
            if not despite_error:
                _require_sound(seen.values())
            return [seen[each] for each in ids] if not late() else None

        def late() -> list[str]:
            return [each for each in ids if each not in seen or not done(seen[each])]

        found = self._patience.until(look, limit_seconds)
        if found is None:
            named = ", ".join(_state(each, seen.get(each)) for each in late())
            raise NotInTime(
                f"After {limit_seconds:g} s EC2 is not done with {len(late())} of {len(ids)} volumes: {named}.",
                hint="Run again; what is done stays done.",
                action="ec2:DescribeVolumes",
            )
        return found

    @aws_errors()
    def _listed(self) -> list[Volume]:
        pages = self._ec2.get_paginator("describe_volumes").paginate(
            Filters=tags.of_pool(self._pool, tags.ROLE_VOLUME), PaginationConfig={"PageSize": _PAGE}
        )
        found = [volume_of(described) for page in pages for described in page["Volumes"]]
        return sorted(found, key=lambda volume: (volume.place, volume.generation, volume.id))

    def _now(self, volume: Volume) -> Volume:
        found = next((listed for listed in self._listed() if listed.id == volume.id), None)
        return found or replace(volume, state=VolumeState.DELETED, attachment=None)

    def _target(self, volume: Volume) -> tuple[int, str] | None:
        """Size and type to which its latest modification leads, or led."""
        try:
            with aws_errors():
                [latest] = self._ec2.describe_volumes_modifications(VolumeIds=[volume.id])["VolumesModifications"]
        except CloudError as error:
            if error.code != _NEVER_MODIFIED:
                raise
            return None
        return latest["TargetSize"], latest["TargetVolumeType"]

    def _tag(self, volume: Volume, values: Mapping[str, str]) -> None:
        with aws_errors():
            self._ec2.create_tags(Resources=[volume.id], Tags=tags.as_tags(values))

    def _asked(self, order: VolumeOrder, attempt: int) -> Volume | None:
        """The volume of this attempt; None when it was deleted since, so that the next attempt's is the one."""
        values = _tag_values(self._pool, order)
        asked = time.monotonic()
        try:
            with aws_errors():
                answer = self._ec2.create_volume(
                    AvailabilityZone=order.zone,
                    Size=order.size_gib,
                    VolumeType=cast("VolumeTypeType", order.type),
                    ClientToken=client_token(values, attempt),
                    TagSpecifications=[tags.specification("volume", values)],
                )
        except CloudError as error:
            if spent(error):
                return None
            if error.code != MISMATCH:
                raise
            return self._standing(order, error)
        volume = volume_of(cast("VolumeTypeDef", answer))
        age = age_seconds(answer["ResponseMetadata"], answer["CreateTime"])
        if age > time.monotonic() - asked + DATE_STEP_SECONDS:
            return self._still_there(volume, self._patience.settle_seconds - age)
        return volume if volume.state not in _GONE else None

    def _still_there(self, volume: Volume, unknown_seconds: float) -> Volume | None:
        """The volume as it is now; None when it is deleted. One so young may be unknown for some seconds yet."""

        def look() -> Volume | None:
            return next((listed for listed in self._listed() if listed.id == volume.id), None)

        found = self._patience.until(look, unknown_seconds)
        return found if found and found.state not in _GONE else None

    def _standing(self, order: VolumeOrder, mismatch: CloudError) -> Volume | None:
        """What stands in the place for which EC2 knows an order with other values; None when that was deleted."""

        def look() -> Volume | None:
            wanted = (order.place, order.generation)
            return next((volume for volume in self.volumes() if (volume.place, volume.generation) == wanted), None)

        found = self._patience.until(look, self._patience.settle_seconds)
        if found and (found.size_gib, found.type, found.zone) != (order.size_gib, order.type, order.zone):
            raise Refused(
                f"{order.place} was ordered as {order.size_gib} GiB {order.type} in {order.zone}, but {found.id} stands"
                f" there with {found.size_gib} GiB {found.type} in {found.zone}.",
                hint="Put the configuration back, or delete that volume.",
            ) from mismatch
        return found

    def _require_bond(self, volume: Volume, instance_id: str, error: CloudError) -> None:
        bond = self._now(volume).attachment
        if bond is None:
            raise error
        if bond.instance_id != instance_id:
            raise Refused(
                f"Volume {volume.id} ({volume.place}) is attached to {bond.instance_id}, not to {instance_id}.",
                hint="Detach it there first; a pool that is open on two machines is lost.",
            ) from error


def _tag_values(pool: str, order: VolumeOrder) -> dict[str, str]:
    return {
        tags.POOL: pool,
        tags.ROLE: tags.ROLE_VOLUME,
        tags.VDEV: str(order.place.vdev),
        tags.SLOT: str(order.place.slot),
        tags.GENERATION: str(order.generation),
        tags.NAME: f"ec2zfs {pool} {order.place}",
    }


def _require_sound(volumes: Iterable[Volume]) -> None:
    broken = [volume for volume in volumes if volume.state is VolumeState.ERROR]
    if broken:
        named = ", ".join(f"{volume.id} ({volume.place})" for volume in broken)
        raise CloudError(
            f"EC2 could not make these volumes, or lost them; they are in state error: {named}.",
            hint="Delete them and run again. If it happens again: an encryption key that cannot be used does this.",
            action="ec2:DescribeVolumes",
        )


def _state(volume_id: str, volume: Volume | None) -> str:
    if volume is None:
        return f"{volume_id} (unknown to EC2)"
    bond = f", {volume.attachment.state}" if volume.attachment else ""
    return f"{volume_id} ({volume.place}: {volume.state}{bond})"
