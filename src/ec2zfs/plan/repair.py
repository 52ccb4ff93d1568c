"""What brings a pool back to full redundancy: members that can come back do, the others are replaced. Pure.

A member is found by ZFS's own status and its volume by its tags. A good member is never taken away for a bad one, and
no volume is deleted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ec2zfs.model.layout import Place
from ec2zfs.model.pool import DeviceState, Member
from ec2zfs.model.scan import ScanFunction
from ec2zfs.model.standing import Standing
from ec2zfs.model.volume import Volume, VolumeState
from ec2zfs.plan.readying import departure, plan_attachments
from ec2zfs.plan.replacement import (
    Caution,
    Want,
    advance,
    await_resilver,
    begun_places,
    is_failed_newcomer,
    left_over,
    order,
    retirement,
)
from ec2zfs.plan.upkeep import AwaitScan, ClearErrors, DropMember, ReopenMember, StartScan, Step


@dataclass(frozen=True)
class Mending:
    """What this run of the repair knows beyond what stands.

    `tried`: ids of volumes whose members were brought back in this run; one that is still bad is replaced then.
    `condemned`: ids of volumes that the operator wants replaced whatever ZFS says of them.
    """

    tried: frozenset[str] = frozenset()
    condemned: frozenset[str] = frozenset()


def plan_repair(want: Want, standing: Standing, caution: Caution, mending: Mending) -> Step:
    """The next step; none when every member is online, nothing resilvers, and no error is counted.

    Damaged data is not mended: look at `PoolStatus.undamaged` in the end. Raises `Refused` as `advance` does.
    """
    places = dict.fromkeys((*begun_places(standing), *lost_places(standing, mending)))
    orders = [order(_like_its_peers(want, standing, place), standing, place) for place in places]
    return (
        _given_up(standing)
        or _returning(standing, mending)
        or advance(standing, orders, caution)
        or await_resilver(standing)
        or (departure(standing, left_over(standing)) if orders else ())
        or _cleared(standing)
        or (retirement(standing) if standing.pool.healthy else ())
    )


def lost_places(standing: Standing, mending: Mending) -> tuple[Place, ...]:
    """The places whose members do not come back, or whose volumes are condemned and were not replaced yet.

    Those that give no redundancy any more come first.
    """
    lost = [member for member in _settled(standing) if _is_lost(standing, member, mending)]
    lost.sort(key=lambda member: member.state is DeviceState.ONLINE)
    return tuple(place for place in map(standing.place_of, lost) if place)


def _given_up(standing: Standing) -> Step:
    """A replacement whose new half has failed is undone, and its volume put aside."""
    failed = [member for member in standing.pool.members if is_failed_newcomer(standing, member)]
    volumes = [volume for member in failed if (volume := standing.volume_of(member))]
    return (*map(DropMember, failed), *departure(standing, volumes))


def _returning(standing: Standing, mending: Mending) -> Step:
    """Volumes that are sound at EC2 are attached again, and their members opened again."""
    sound = {member: volume for member in _settled(standing) if (volume := _sound_volume(standing, member))}
    here = {member: volume for member, volume in sound.items() if volume.id not in mending.condemned}
    away = [volume for volume in here.values() if not standing.attached(volume)]
    if away:
        return plan_attachments(standing, away)
    return tuple(
        ReopenMember(member, volume)
        for member, volume in here.items()
        if volume.id not in mending.tried and _is_out(standing, member, volume)
    )


def _settled(standing: Standing) -> Iterable[Member]:
    """The members that are no part of a replacement under way."""
    return (member for member in standing.pool.members if not member.replacing)


def _sound_volume(standing: Standing, member: Member) -> Volume | None:
    volume = standing.volume_of(member)
    usable = volume is not None and volume.retirement is None and volume.state is not VolumeState.ERROR
    return volume if usable else None


def _is_out(standing: Standing, member: Member, volume: Volume) -> bool:
    """Whether ZFS does not have the member, or has it on a mapping whose device has gone."""
    opened = {each.name: each for each in standing.view.opened}
    stale = volume.mapping in opened and opened[volume.mapping].stale
    return member.state is not DeviceState.ONLINE or stale


def _is_lost(standing: Standing, member: Member, mending: Mending) -> bool:
    volume = _sound_volume(standing, member)
    if volume is None or volume.id in mending.condemned:
        return True
    return volume.id in mending.tried and member.state is not DeviceState.ONLINE


def _like_its_peers(want: Want, standing: Standing, place: Place) -> Want:
    """As large as the largest of its vdev, so that ZFS takes it however far a growth has come."""
    peers = [volume.size_gib for volume in standing.current if volume.place.vdev == place.vdev]
    return replace(want, size_gib=max(peers, default=want.size_gib))


def _cleared(standing: Standing) -> Step:
    """Counted errors are forgotten, and a scrub tells whether they come again."""
    counted = any(member.errors for member in standing.pool.members)
    return (ClearErrors(), StartScan(), AwaitScan(ScanFunction.SCRUB)) if counted else ()
