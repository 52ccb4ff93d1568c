"""What ZFS makes of an action on an imported pool when all goes well: members, states, scans and sizes. Pure.

The half of simulation.py that is ZFS's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from ec2zfs.model.pool import DeviceState, Member, MemberName, PoolStatus, Vdev, raw_size
from ec2zfs.model.scan import Scan, ScanFunction, ScanState
from ec2zfs.model.standing import Standing
from ec2zfs.model.volume import Volume
from ec2zfs.plan.upkeep import (
    AddVdev,
    AwaitScan,
    ClearErrors,
    DropMember,
    ExpandMembers,
    NoteScrub,
    OfflineMember,
    ReopenMember,
    ReplaceMember,
    StartScan,
)

PoolChange = (
    ReplaceMember
    | ReopenMember
    | OfflineMember
    | DropMember
    | ClearErrors
    | ExpandMembers
    | AddVdev
    | StartScan
    | AwaitScan
    | NoteScrub
)
Change = Callable[[Member], Iterable[Member]]
"""What becomes of a leaf: none, itself, or two."""


def after(standing: Standing, action: PoolChange) -> PoolStatus:
    """The pool of this standing once the action is done."""
    pool = standing.pool
    match action:
        case AddVdev(kind, volumes, paths):
            return _measured(_with_vdev(standing, kind, paths), volumes)
        case ExpandMembers(volumes):
            return _measured(standing, volumes)
        case StartScan():
            return replace(pool, scan=Scan(ScanFunction.SCRUB, ScanState.RUNNING, standing.now))
        case AwaitScan(function):
            return _scanned(standing, function)
        case NoteScrub(at):
            return replace(pool, scrubbed=at)
        case ClearErrors():
            return _rebuilt(pool, lambda each: (replace(each, read_errors=0, write_errors=0, checksum_errors=0),))
        case _:
            return _with_members(standing, action)


def _with_members(standing: Standing, action: ReplaceMember | ReopenMember | OfflineMember | DropMember) -> PoolStatus:
    pool = standing.pool
    match action:
        case ReplaceMember(member, _, path):
            new = replace(leaf(path), replacing=True, resilvering=True)
            return _resilvering(standing, _rebuilt(pool, lambda each: _joined(each, member, new)))
        case ReopenMember(member, volume):
            path = f"/dev/mapper/{volume.mapping}" if standing.design.encrypted else member.path
            back = replace(leaf(path), replacing=member.replacing, resilvering=True)
            return _resilvering(standing, _rebuilt(pool, lambda each: (back if _same(each, member) else each,)))
        case OfflineMember(member):
            return _rebuilt(pool, lambda each: (_put(each, DeviceState.OFFLINE) if _same(each, member) else each,))
        case DropMember(member):
            return _dropped(standing, member)


def leaf(path: str) -> Member:
    """A good member of that path."""
    name = MemberName.parse(path)
    place, generation = (name.place, name.generation) if name else (None, None)
    return Member(path, DeviceState.ONLINE, place=place, generation=generation)


def _same(one: Member, other: Member) -> bool:
    return one.handle == other.handle


def _put(member: Member, state: DeviceState) -> Member:
    return replace(member, state=state)


def _joined(member: Member, old: Member, new: Member) -> tuple[Member, ...]:
    return (replace(member, replacing=True), new) if _same(member, old) else (member,)


def _dropped(standing: Standing, member: Member) -> PoolStatus:
    """The other half stands alone again; what else is being resilvered goes on."""
    place = standing.place_of(member)
    peers = {each.handle for each in standing.members(place)} if place else set()
    rest = _rebuilt(standing.pool, lambda each: () if _same(each, member) else (_alone(each, peers),))
    if any(each.resilvering for each in rest.members):
        return rest
    return replace(rest, scan=Scan(ScanFunction.RESILVER, ScanState.FINISHED, standing.now))


def _alone(member: Member, peers: set[str]) -> Member:
    return replace(member, replacing=False) if member.handle in peers else member


def _with_vdev(standing: Standing, kind: str, paths: Sequence[str]) -> Standing:
    pool = standing.pool
    vdev = Vdev(f"{kind}-{len(pool.vdevs)}", kind, DeviceState.ONLINE, tuple(map(leaf, paths)))
    return standing.seeing(replace(standing.view, imported=replace(pool, vdevs=(*pool.vdevs, vdev))))


def _resilvering(standing: Standing, pool: PoolStatus) -> PoolStatus:
    return replace(pool, scan=Scan(ScanFunction.RESILVER, ScanState.RUNNING, standing.now))


def _scanned(standing: Standing, function: ScanFunction) -> PoolStatus:
    """The pool when a scan has ended that found nothing; a resilver ends every replacement whose new half is good."""
    pool = replace(standing.pool, scan=Scan(function, ScanState.FINISHED, standing.now))
    if function is ScanFunction.SCRUB:
        return pool
    replaced = {each.handle for each in pool.members if each.replacing and _is_replaced(standing, each)}
    places = {standing.place_of(each) for each in pool.members if each.handle in replaced}
    ended = {each.handle for each in pool.members if standing.place_of(each) in places or not each.replacing}
    return _rebuilt(pool, lambda each: () if each.handle in replaced else (_settled(each, each.handle in ended),))


def _is_replaced(standing: Standing, member: Member) -> bool:
    place = standing.place_of(member)
    others = standing.members(place) if place else ()
    good = [each for each in others if each.state is DeviceState.ONLINE]
    return any(standing.generation_of(each) > standing.generation_of(member) for each in good)


def _settled(member: Member, ended: bool) -> Member:
    return replace(member, replacing=member.replacing and not ended, resilvering=False)


def _rebuilt(pool: PoolStatus, change: Change) -> PoolStatus:
    """The pool with its leaves changed, and its own state and those of its vdevs as that makes them."""
    vdevs = tuple(_judged(vdev, tuple(new for each in vdev.members for new in change(each))) for vdev in pool.vdevs)
    return replace(pool, vdevs=vdevs, state=_worse(vdev.state for vdev in vdevs))


def _judged(vdev: Vdev, members: tuple[Member, ...]) -> Vdev:
    return replace(vdev, members=members, state=_worse(member.state for member in members))


def _worse(states: Iterable[DeviceState]) -> DeviceState:
    sound = all(state is DeviceState.ONLINE for state in states)
    return DeviceState.ONLINE if sound else DeviceState.DEGRADED


def _measured(standing: Standing, volumes: Sequence[Volume]) -> PoolStatus:
    """The pool with the vdevs of these volumes as large as the volumes allow."""
    pool = standing.pool
    numbers = {volume.place.vdev for volume in volumes}
    vdevs = tuple(
        replace(vdev, size=max(vdev.size, _raw(standing, vdev)), expandable=0) if number in numbers else vdev
        for number, vdev in enumerate(pool.vdevs, 1)
    )
    size = sum(vdev.size for vdev in vdevs)
    return replace(pool, vdevs=vdevs, size=size, free=size - pool.allocated)


def _raw(standing: Standing, vdev: Vdev) -> int:
    volumes = [volume for member in vdev.members if (volume := standing.volume_of(member))]
    return raw_size(vdev.kind, len(vdev.members), min((volume.size_gib for volume in volumes), default=0))
