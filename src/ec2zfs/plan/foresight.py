"""What a plan leads to, without carrying it out: the view after an action, and the whole way to the pool.

Used to show a plan beyond what can be seen yet, and by tests to hold what was done against what was foreseen. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ec2zfs.model.contents import ReceiverView, SeenVolume
from ec2zfs.model.pool import DeviceState, Member, MemberName, PoolDesign, PoolStatus, Vdev
from ec2zfs.model.volume import Volume, VolumeState
from ec2zfs.plan.pool import CreatePool, FormatVolume, ImportPool, OpenVolume, PoolAction, plan_pool
from ec2zfs.plan.volumes import CreateVolume

NOT_YET = "yet to be created"
"""Stands for the id of a volume that does not exist yet."""


def created(action: CreateVolume) -> Volume:
    """The volume that an action will make."""
    return Volume(
        id=f"{NOT_YET}: {action.place}",
        pool=action.pool,
        place=action.place,
        generation=action.generation,
        size_gib=action.size_gib,
        type=action.type,
        zone=action.zone,
        state=VolumeState.AVAILABLE,
    )


def blank(volumes: Sequence[Volume]) -> ReceiverView:
    """A receiver on which these volumes show and hold nothing."""
    return ReceiverView(tuple(SeenVolume(each.serial, f"/dev/{each.serial}", untouched=True) for each in volumes))


def foreseen(design: PoolDesign, volumes: Sequence[Volume], view: ReceiverView) -> tuple[PoolAction, ...]:
    """Every action from this view to the pool, plan after plan. Raises `Refused` as `plan_pool` does."""
    actions: list[PoolAction] = []
    while plan := plan_pool(design, volumes, view):
        for action in plan:
            actions.append(action)
            view = after(view, action)
    return tuple(actions)


def after(view: ReceiverView, action: PoolAction) -> ReceiverView:
    """The view once the action is done. The status of a pool is foreseen only when the action makes it."""
    match action:
        case FormatVolume(volume):
            return replace(view, volumes=tuple(_formatted(each, volume) for each in view.volumes))
        case OpenVolume(volume):
            return replace(view, mappings=tuple(sorted({*view.mappings, volume.mapping})))
        case CreatePool(design, vdevs):
            status = _status(design, vdevs)
            return replace(view, pools=(*view.pools, design.name), imported=status)
        case ImportPool(name):
            return replace(view, pools=(*view.pools, name))
        case _:
            return view


def _formatted(seen: SeenVolume, volume: Volume) -> SeenVolume:
    if seen.serial != volume.serial:
        return seen
    return replace(seen, signatures=("crypto_LUKS", "crypto_LUKS"), keyslots=1, label=volume.mapping)


def _status(design: PoolDesign, vdevs: Sequence[Sequence[str]]) -> PoolStatus:
    kind = design.layout.redundancy.value
    groups = tuple(
        Vdev(f"{kind}-{number}", kind, DeviceState.ONLINE, tuple(map(_member, paths)))
        for number, paths in enumerate(vdevs)
    )
    return PoolStatus(design.name, 0, DeviceState.ONLINE, groups, 0, 0, 0)


def _member(path: str) -> Member:
    name = MemberName.parse(path)
    return Member(
        path, DeviceState.ONLINE, place=name.place if name else None, generation=name.generation if name else None
    )
