"""Whole looks at a pool, for tests of what is planned on them: all is well unless a test says otherwise."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tests.fakes.pools import INSTANCE, SIX, design, volume

from ec2zfs.model.contents import OpenMapping, ReceiverView
from ec2zfs.model.layout import GIB, Layout, Place, Redundancy
from ec2zfs.model.pool import DeviceState, Member, PoolStatus, Vdev
from ec2zfs.model.standing import Standing
from ec2zfs.model.volume import Attachment, AttachmentState, Volume, VolumeState
from ec2zfs.plan.attachment import DEVICE_NAMES
from ec2zfs.plan.simulated_pool import leaf

NOW = datetime(2026, 11, 25, 2, 17, tzinfo=UTC)
SCRUBBED = NOW - timedelta(hours=30)
FORTY = Layout(Redundancy.RAIDZ1, 5, 8, 1)


def standing(
    layout: Layout = SIX, *, encrypted: bool = True, spare: int = 6, scrubbed: datetime | None = SCRUBBED
) -> Standing:
    """A healthy pool of the layout: every volume attached and open, a clean scrub noted."""
    volumes = tuple(
        _attached(volume(str(place), size_gib=layout.size_gib), n) for n, place in enumerate(layout.places())
    )
    mappings = tuple(sorted(each.mapping for each in volumes)) if encrypted else ()
    view = ReceiverView(
        mappings=mappings,
        pools=("cloud",),
        imported=_pool(layout, volumes, scrubbed, encrypted=encrypted),
        opened=tuple(OpenMapping(name, layout.size_gib * GIB) for name in mappings),
    )
    return Standing(design(layout, encrypted=encrypted), volumes, view, INSTANCE, spare, NOW)


def path(of: Volume, *, encrypted: bool = True) -> str:
    """Under which path a volume is a member."""
    return f"/dev/mapper/{of.mapping}" if encrypted else f"/dev/disk/by-id/nvme-{of.serial}-part1"


def with_pool(stands: Standing, **changes: object) -> Standing:
    """The same with other words of ZFS about the pool."""
    return stands.seeing(replace(stands.view, imported=replace(stands.pool, **changes)))  # type: ignore[arg-type]


def with_member(stands: Standing, member: Member, **changes: object) -> Standing:
    """The same with one member changed, and what that makes of its vdev and the pool."""
    new = replace(member, **changes)  # type: ignore[arg-type]
    vdevs = tuple(
        _vdev(vdev, tuple(new if each == member else each for each in vdev.members)) for vdev in stands.pool.vdevs
    )
    well = all(vdev.state is DeviceState.ONLINE for vdev in vdevs)
    return with_pool(stands, vdevs=vdevs, state=DeviceState.ONLINE if well else DeviceState.DEGRADED)


def with_volume(stands: Standing, which: Volume, **changes: object) -> Standing:
    """The same with one volume changed."""
    new = replace(which, **changes)  # type: ignore[arg-type]
    return replace(stands, volumes=tuple(new if each.id == which.id else each for each in stands.volumes))


def at(stands: Standing, place: str) -> tuple[Member, Volume]:
    """The one member of a place and its volume."""
    vdev, slot = (int(number) for number in place[1:].split("s"))
    (member,) = stands.members(Place(vdev, slot))
    found = stands.volume_of(member)
    assert found
    return member, found


def failed(stands: Standing, place: str, state: DeviceState = DeviceState.FAULTED, **changes: object) -> Standing:
    """The same with the member of a place out, its volume being sound at EC2."""
    return with_member(stands, at(stands, place)[0], state=state, **changes)


def vanished(stands: Standing, place: str, *, guid: str = "7777777777777777777") -> Standing:
    """The same with the volume of a place gone for good, so that ZFS knows its member by number only."""
    member, gone = at(stands, place)
    left = replace(
        with_member(stands, member, state=DeviceState.UNAVAIL, guid=guid),
        volumes=tuple(each for each in stands.volumes if each != gone),
    )
    return left.seeing(replace(left.view, mappings=tuple(each for each in left.view.mappings if each != gone.mapping)))


def broken(stands: Standing, which: Volume) -> Standing:
    """The same with a volume that EC2 gave up; its member, if it is one, takes no writes any more."""
    member = stands.member(which)
    if member:
        stands = with_member(stands, member, state=DeviceState.FAULTED, write_errors=5)
    return with_volume(stands, which, state=VolumeState.ERROR)


def _attached(which: Volume, number: int) -> Volume:
    bond = Attachment(INSTANCE, DEVICE_NAMES[number], AttachmentState.ATTACHED)
    return replace(which, state=VolumeState.IN_USE, attachment=bond)


def _pool(layout: Layout, volumes: tuple[Volume, ...], scrubbed: datetime | None, *, encrypted: bool) -> PoolStatus:
    kind = layout.redundancy.value
    raw = layout.size_gib * GIB * (1 if kind == "mirror" else layout.volumes_per_vdev)
    vdevs = tuple(
        Vdev(
            f"{kind}-{number - 1}",
            kind,
            DeviceState.ONLINE,
            tuple(leaf(path(each, encrypted=encrypted)) for each in volumes if each.place.vdev == number),
            raw,
        )
        for number in range(1, layout.vdevs + 1)
    )
    size = raw * layout.vdevs
    return PoolStatus("cloud", 1000, DeviceState.ONLINE, vdevs, size, 0, size, scrubbed=scrubbed)


def _vdev(vdev: Vdev, members: tuple[Member, ...]) -> Vdev:
    well = all(member.state is DeviceState.ONLINE for member in members)
    return replace(vdev, members=members, state=DeviceState.ONLINE if well else DeviceState.DEGRADED)
