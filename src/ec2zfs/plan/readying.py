"""From an order for a volume to a device that ZFS can take: create, attach, format, open. Pure.

Used wherever a volume comes new into a pool that exists. Nothing is formatted that may hold data (plan/pool.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from ec2zfs.errors import Refused
from ec2zfs.model.layout import Place
from ec2zfs.model.standing import Standing
from ec2zfs.model.volume import Volume, VolumeState
from ec2zfs.plan.attachment import device_names
from ec2zfs.plan.pool import FormatVolume, Holding, OpenVolume, holding
from ec2zfs.plan.upkeep import CloseVolume, Step
from ec2zfs.plan.volumes import AttachVolume, CreateVolume, DetachVolume, RetireVolume


def newcomer(standing: Standing, place: Place) -> Volume | None:
    """The current volume of a place that is newer than its members, and so is on its way into the pool."""
    found = [volume for volume in standing.at(place) if standing.member(volume) is None]
    newest = max(map(standing.generation_of, standing.members(place)), default=0)
    return next((volume for volume in found if volume.generation > newest), None)


def plan_readying(standing: Standing, orders: Sequence[CreateVolume]) -> Step:
    """The next step towards open devices for all orders; none when each has one.

    A volume that was begun for another order, or that EC2 gave up before it was a member, is put aside and made anew.
    Raises `Refused` when something stands on a new volume that ec2zfs did not put there.
    """
    new = [(order, newcomer(standing, order.place)) for order in orders]
    unfit = [volume for order, volume in new if volume and not _fits(order, volume)]
    if unfit:
        return departure(standing, unfit)
    missing = tuple(order for order, volume in new if volume is None)
    if missing:
        return missing
    volumes = [volume for _, volume in new if volume]
    return plan_attachments(standing, volumes) or _opening(standing, volumes)


def device_path(standing: Standing, volume: Volume) -> str:
    """What ZFS is given for an attached and open volume."""
    if standing.design.encrypted:
        return f"/dev/mapper/{volume.mapping}"
    seen = standing.view.volume(volume.serial)
    if seen is None:
        raise Refused(f"{volume.place} ({volume.id}) does not show on the receiver.", hint="Run again.")
    return seen.path


def departure(standing: Standing, volumes: Sequence[Volume]) -> Step:
    """What takes volumes that are no good members off the receiver and puts them aside.

    Their grace time begins now if the pool is healthy without any of them; else when it is seen to be.
    """
    proven = well(standing) and not any(map(standing.member, volumes))
    closing = tuple(CloseVolume(volume) for volume in volumes if volume.mapping in standing.view.mappings)
    detaching = tuple(DetachVolume(volume) for volume in volumes if volume.attachment is not None)
    return (*closing, *detaching, *(RetireVolume(volume, standing.now if proven else None) for volume in volumes))


def well(standing: Standing) -> bool:
    """Whether the pool is healthy with what it has now, and nothing is on its way."""
    return standing.pool.healthy and not standing.pool.resilvering


def plan_attachments(standing: Standing, volumes: Sequence[Volume | CreateVolume]) -> tuple[AttachVolume, ...]:
    """What attaches those that do not hang on the receiver yet; also volumes that the same step creates."""
    bonds = [volume.attachment for volume in standing.volumes if volume.attachment]
    names = device_names({bond.device for bond in bonds if bond.instance_id == standing.instance})
    return tuple(
        AttachVolume(each.pool, each.place, each.generation, standing.instance, next(names))
        for each in volumes
        if isinstance(each, CreateVolume) or not standing.attached(each)
    )


def _fits(order: CreateVolume, volume: Volume) -> bool:
    sound = volume.state is not VolumeState.ERROR
    return sound and volume.size_gib >= order.size_gib and (volume.type, volume.zone) == (order.type, order.zone)


def _opening(standing: Standing, volumes: Sequence[Volume]) -> Step:
    if not standing.design.encrypted:
        for volume in volumes:
            _require(standing, volume, {Holding.BLANK})
        return ()
    closed = [volume for volume in volumes if volume.mapping not in standing.view.mappings]
    held = {volume: _require(standing, volume, {Holding.BLANK, Holding.BEGUN, Holding.OURS}) for volume in closed}
    formats = tuple(FormatVolume(volume, what) for volume, what in held.items() if what is not Holding.OURS)
    return (*formats, *(OpenVolume(volume) for volume in closed))


def _require(standing: Standing, volume: Volume, allowed: set[Holding]) -> Holding:
    seen = standing.view.volume(volume.serial)
    if seen is None:
        raise Refused(
            f"{volume.place} ({volume.id}) does not show on the receiver.",
            hint="If EC2 says that it is attached, detach it (`ec2zfs volumes detach`), and run again.",
        )
    what = holding(volume, seen, encrypted=standing.design.encrypted)
    if what not in allowed:
        raise Refused(
            f"Something that ec2zfs did not put there stands on {volume.place} ({volume.id}), which is to be new;"
            " nothing was formatted.",
            hint="Look at it on the receiver (`wipefs`, `cryptsetup luksDump`); delete the volume if it is not needed.",
        )
    return what
