"""Which volumes to create, attach, detach and delete: pure decisions from what EC2 says. Never touches EC2.

Each plan is made anew from what stands now, so a plan that was cut off anywhere is finished by the next one: a place
that has a volume is never given a second one here (a replacement is another plan's business). Volumes that are only
kept stand in no place; none of them is ever attached again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from ec2zfs.errors import Refused
from ec2zfs.model.instance import Instance, InstanceType
from ec2zfs.model.layout import Layout, Place
from ec2zfs.model.volume import AttachmentState, Volume, VolumeState, mapping_name
from ec2zfs.plan.attachment import attachments, device_names, require_attachable


@dataclass(frozen=True)
class VolumeWish:
    """The volumes that the operator asked for: `type` is EBS's (`gp3`), `zone` an availability zone."""

    pool: str
    layout: Layout
    type: str
    zone: str


@dataclass(frozen=True)
class CreateVolume:
    """Buy a volume for a place of the pool."""

    pool: str
    place: Place
    generation: int
    size_gib: int
    type: str
    zone: str

    def __str__(self) -> str:
        name = mapping_name(self.pool, self.place, self.generation)
        return f"create volume {name}: {self.size_gib} GiB {self.type} in {self.zone}"


@dataclass(frozen=True)
class AttachVolume:
    """Attach a place's volume to the receiver, under a device name that EC2 allows (fact 8).

    `needed`: it is a failure when the attachment hangs; else the work goes on without the volume.
    """

    pool: str
    place: Place
    generation: int
    instance_id: str
    device: str
    needed: bool = True

    def __str__(self) -> str:
        name = mapping_name(self.pool, self.place, self.generation)
        return f"attach volume {name} to {self.instance_id} as {self.device}"


@dataclass(frozen=True)
class DetachVolume:
    """Take a volume off the machine it hangs on."""

    volume: Volume

    def __str__(self) -> str:
        on = f" from {self.volume.attachment.instance_id}" if self.volume.attachment else ""
        return f"detach volume {self.volume.mapping} ({self.volume.id}){on}"


@dataclass(frozen=True)
class DeleteVolume:
    """Delete a volume with all that it holds, for the stated reason."""

    volume: Volume
    reason: str

    def __str__(self) -> str:
        return f"delete volume {self.volume.mapping} ({self.volume.id}): {self.reason}"


@dataclass(frozen=True)
class ModifyVolume:
    """Grow a volume where it is, or change its type (Elastic Volumes, fact 4)."""

    volume: Volume
    size_gib: int
    type: str

    def __str__(self) -> str:
        volume = self.volume
        return (
            f"modify volume {volume.mapping} ({volume.id}): {volume.size_gib} GiB {volume.type}"
            f" -> {self.size_gib} GiB {self.type}"
        )


@dataclass(frozen=True)
class RetireVolume:
    """Mark a volume as one that is only kept. `since`: from when the pool was seen healthy without it."""

    volume: Volume
    since: datetime | None

    def __str__(self) -> str:
        until = f", out of a healthy pool since {self.since:%Y-%m-%d %H:%M} UTC" if self.since else ""
        return f"keep volume {self.volume.mapping} ({self.volume.id}) aside{until}"


VolumeAction = CreateVolume | AttachVolume | DetachVolume | DeleteVolume | ModifyVolume | RetireVolume


def require_usable(volumes: Sequence[Volume], zone: str, instance_type: InstanceType) -> None:
    """Raise `Refused` when a receiver of the type in the zone could not have these volumes, before one is started.

    Those that EC2 gave up are no obstacle: the pool can do without as many as its redundancy allows.
    """
    wanted = current(volumes)
    for volume in wanted:
        _require_in_zone(volume, zone)
    _require_room(wanted, instance_type)


def plan_creation(wish: VolumeWish, volumes: Sequence[Volume]) -> tuple[CreateVolume, ...]:
    """The volumes still to be created.

    Raises `Refused` when those that stand contradict the wish: a place outside the layout, two volumes in one place,
    another size, type or zone, or a volume that EC2 gave up.
    """
    standing_volumes = current(volumes)
    _require_sound(standing_volumes)
    _require_one_each(wish.layout, standing_volumes)
    for volume in standing_volumes:
        _require_as_wished(wish, volume)
    standing = {volume.place for volume in standing_volumes}
    return tuple(
        CreateVolume(wish.pool, place, _next_generation(volumes, place), wish.layout.size_gib, wish.type, wish.zone)
        for place in wish.layout.places()
        if place not in standing
    )


def plan_attachment(
    volumes: Sequence[Volume],
    instance: Instance,
    instance_type: InstanceType,
    *,
    accept_degraded: bool = False,
    condemned: frozenset[str] = frozenset(),
) -> tuple[AttachVolume, ...]:
    """The volumes still to be attached to the instance; one that is just being attached is asked for again.

    Where not all find an attachment, those are left out that are on their way into the pool. Volumes of the ids
    `condemned` are to be replaced, and attached if they can be. Raises `Refused` past the type's attachment limit, for
    a volume in another zone, for one that hangs elsewhere, and for one that EC2 gave up; with `accept_degraded` such a
    one is left out.
    """
    wanted = current(volumes)
    if not accept_degraded:
        _require_sound(wanted)
    _require_room(wanted, instance_type)
    sound = [volume for volume in wanted if volume.state is not VolumeState.ERROR]
    for volume in sound:
        _require_free_for(instance, volume)
    asked = [volume for volume in sound if not volume.attached]
    bonds = [volume.attachment for volume in volumes if volume.attachment]
    names = device_names({bond.device for bond in bonds if bond.instance_id == instance.id})
    return tuple(
        AttachVolume(
            volume.pool, volume.place, volume.generation, instance.id, next(names), needed=volume.id not in condemned
        )
        for volume in _fitting(asked, volumes, instance, attachments(instance_type))
    )


def plan_detachment(volumes: Sequence[Volume]) -> tuple[DetachVolume, ...]:
    """Every volume that hangs on a machine."""
    return tuple(DetachVolume(volume) for volume in volumes if volume.attachment is not None)


def plan_deletion(volumes: Sequence[Volume], reason: str) -> tuple[DeleteVolume, ...]:
    """Every volume of those given; raises `Refused` while one is attached, since a pool may be open on it."""
    attached = [volume for volume in volumes if volume.attachment is not None]
    if attached:
        raise Refused(
            f"{len(attached)} of {len(volumes)} volumes are attached, and were not deleted: {_named(attached)}.",
            hint="Lock the pool (`ec2zfs pool lock`) and detach its volumes (`ec2zfs volumes detach`) first.",
        )
    return tuple(DeleteVolume(volume, reason) for volume in volumes)


def current(volumes: Iterable[Volume]) -> list[Volume]:
    """The volumes that belong to the pool or are on their way into it: all but those that are only kept."""
    return [volume for volume in volumes if volume.retirement is None]


def oldest(volumes: Iterable[Volume]) -> dict[Place, Volume]:
    """The oldest current volume of each place: the pool's member as far as EC2 can tell, a newer one being to come."""
    ordered = sorted(current(volumes), key=lambda volume: (volume.place, -volume.generation))
    return {volume.place: volume for volume in ordered}


def broken(volumes: Iterable[Volume]) -> tuple[Volume, ...]:
    """The volumes that EC2 gave up (state `error`, fact 9); they hold nothing any more."""
    return tuple(volume for volume in volumes if volume.state is VolumeState.ERROR)


def _require_sound(volumes: Iterable[Volume]) -> None:
    if failed := broken(volumes):
        raise Refused(
            f"EC2 reports {_named(failed)} in state error.",
            hint="Nothing can be read from it any more. In a pool that exists `ec2zfs pool repair` replaces it; while "
            "the pool is being made delete it (`ec2zfs volumes delete --failed`), and run again.",
        )


def _require_one_each(layout: Layout, volumes: Sequence[Volume]) -> None:
    places = set(layout.places())
    outside = [volume for volume in volumes if volume.place not in places]
    if outside:
        raise Refused(
            f"Volumes stand in places that the layout {layout} does not have: {_named(outside)}.",
            hint="A pool does not shrink: set pool.vdevs and pool.volumes_per_vdev to what the pool was made with.",
        )
    standing: set[Place] = set()
    for volume in volumes:
        if volume.place in standing:
            twins = [twin for twin in volumes if twin.place == volume.place]
            raise Refused(
                f"Two volumes stand in one place: {_named(twins)}. A replacement has not ended yet.",
                hint="Give the command that began it again, or `ec2zfs pool repair`.",
            )
        standing.add(volume.place)


def _next_generation(volumes: Iterable[Volume], place: Place) -> int:
    return 1 + max((volume.generation for volume in volumes if volume.place == place), default=0)


def _require_room(wanted: Sequence[Volume], instance_type: InstanceType) -> None:
    require_attachable(len({volume.place for volume in wanted}), instance_type)


def _fitting(asked: Sequence[Volume], volumes: Sequence[Volume], instance: Instance, most: int) -> list[Volume]:
    """Those that find an attachment: what has one already, then the members of the pool, then what is to become one."""
    members = set(oldest(volumes).values())
    hanging = {volume for volume in volumes if volume.attachment and volume.attachment.instance_id == instance.id}
    ordered = sorted(asked, key=lambda volume: (volume not in hanging, volume not in members))
    free = max(0, most - len(hanging.difference(asked)))
    fitting, left = ordered[:free], ordered[free:]
    if outside := members.intersection(left):
        strays = [volume for volume in volumes if volume in hanging - members]
        raise Refused(
            f"{_named(sorted(outside, key=lambda volume: volume.place))} finds no free attachment on {instance.id}, "
            f"where volumes hang that the pool does not need: {_named(strays)}.",
            hint="Detach those in EC2, then give the same command again.",
        )
    return [volume for volume in asked if volume in fitting]


def _require_in_zone(volume: Volume, zone: str) -> None:
    if volume.zone != zone:
        raise Refused(
            f"The volumes of pool {volume.pool} are in {volume.zone}, not in {zone}: {_named([volume])}.",
            hint=f"Set aws.zone to {volume.zone}; a volume never leaves its zone.",
        )


def _require_as_wished(wish: VolumeWish, volume: Volume) -> None:
    _require_in_zone(volume, wish.zone)
    if (volume.size_gib, volume.type) != (wish.layout.size_gib, wish.type):
        raise Refused(
            f"{_named([volume])} has {volume.size_gib} GiB of type {volume.type}, where the configuration says "
            f"{wish.layout.size_gib} GiB of {wish.type}.",
            hint="Set volumes.size_gib and volumes.type to what the pool was made with. To bring a pool that exists to "
            "what they say is the work of `ec2zfs pool grow`.",
        )


def _require_free_for(instance: Instance, volume: Volume) -> None:
    if volume.zone != instance.zone:
        raise Refused(
            f"{_named([volume])} is in {volume.zone}, but {instance.id} runs in {instance.zone}.",
            hint=f"A volume hangs on machines of its own zone only: start the receiver in {volume.zone} (aws.zone).",
        )
    bond = volume.attachment
    if bond is None or bond.state in (AttachmentState.DETACHING, AttachmentState.DETACHED):
        return
    if bond.instance_id != instance.id:
        raise Refused(
            f"{_named([volume])} is attached to {bond.instance_id}, not to {instance.id}.",
            hint="Lock the pool there and detach its volumes; a pool that is open on two machines is lost.",
        )
    if bond.state is AttachmentState.BUSY:
        raise Refused(
            f"{_named([volume])} is to be detached from {instance.id} and is in use there.",
            hint="Lock the pool (`ec2zfs pool lock`), wait until it is detached, and run again.",
        )


def _named(volumes: Iterable[Volume]) -> str:
    return ", ".join(f"{volume.place} ({volume.id})" for volume in volumes)
