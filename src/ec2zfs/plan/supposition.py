"""The pool as it would be if all were well, for a preview while it is locked and nobody can see into it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from ec2zfs.model.contents import ReceiverView, SeenVolume
from ec2zfs.model.layout import Place
from ec2zfs.model.pool import DeviceState, Member, PoolDesign, PoolStatus, Vdev, raw_size
from ec2zfs.model.standing import Standing
from ec2zfs.model.volume import Attachment, AttachmentState, Volume, VolumeState
from ec2zfs.plan.attachment import DEVICE_NAMES
from ec2zfs.plan.volumes import current, oldest

RECEIVER = "the receiver"
"""Stands for the id of an instance that nobody has started."""


def supposed(design: PoolDesign, volumes: Sequence[Volume], spare_attachments: int, now: datetime) -> Standing:
    """The standing with the oldest current volume of each place attached to a receiver, open, and a member of the pool.

    Newer ones are attached as far as they fit, and blank. The pool is healthy and was scrubbed just now. Vdevs of which
    volumes are missing at EC2 count as not yet added, unless others follow them.
    """
    old = oldest(volumes)
    newer = [volume for volume in current(volumes) if volume != old[volume.place]]
    fitting, waiting = newer[:spare_attachments], newer[spare_attachments:]
    members = {place: _attached(volume, number) for number, (place, volume) in enumerate(old.items())}
    new = [_attached(volume, number) for number, volume in enumerate(fitting, len(members))]
    away = [replace(volume, attachment=None) for volume in waiting]
    kept = [volume for volume in volumes if volume.retirement is not None]
    vdevs = tuple(_vdev(design, number, members) for number in range(1, _vdevs(design, members) + 1))
    size = sum(vdev.size for vdev in vdevs)
    pool = PoolStatus(design.name, 0, DeviceState.ONLINE, vdevs, size, 0, size, scrubbed=now)
    view = ReceiverView(
        volumes=tuple(map(_seen, new)),
        mappings=tuple(sorted(volume.mapping for volume in members.values())) if design.encrypted else (),
        pools=(design.name,),
        imported=pool,
    )
    return Standing(design, (*members.values(), *new, *away, *kept), view, RECEIVER, spare_attachments, now)


def _attached(volume: Volume, number: int) -> Volume:
    bond = Attachment(RECEIVER, DEVICE_NAMES[number % len(DEVICE_NAMES)], AttachmentState.ATTACHED)
    state = VolumeState.ERROR if volume.state is VolumeState.ERROR else VolumeState.IN_USE
    return replace(volume, state=state, attachment=bond)


def _vdevs(design: PoolDesign, members: dict[Place, Volume]) -> int:
    whole = [place.vdev for place in members if place.slot == design.layout.volumes_per_vdev]
    return max(whole, default=0)


def _vdev(design: PoolDesign, number: int, members: dict[Place, Volume]) -> Vdev:
    kind = design.layout.redundancy.value
    own = [volume for place, volume in sorted(members.items()) if place.vdev == number]
    leaves = tuple(_member(design, volume) for volume in own)
    size = raw_size(kind, len(own), min((volume.size_gib for volume in own), default=0))
    return Vdev(f"{kind}-{number - 1}", kind, DeviceState.ONLINE, leaves, size)


def _member(design: PoolDesign, volume: Volume) -> Member:
    path = f"/dev/mapper/{volume.mapping}" if design.encrypted else f"/dev/{volume.serial}"
    lost = volume.state is VolumeState.ERROR
    state = DeviceState.UNAVAIL if lost else DeviceState.ONLINE
    return Member(path, state, place=volume.place, generation=volume.generation)


def _seen(volume: Volume) -> SeenVolume:
    return SeenVolume(volume.serial, f"/dev/{volume.serial}", untouched=True)
