"""What an action makes of the pool when all goes well, and where a plan leads to, without carrying anything out. Pure.

Used to show the whole of a plan (`--dry-run`), and by tests to hold what was seen against what was foreseen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ec2zfs.model.contents import OpenMapping, SeenVolume
from ec2zfs.model.layout import GIB
from ec2zfs.model.standing import Standing
from ec2zfs.model.volume import Attachment, AttachmentState, Retirement, Volume, VolumeState
from ec2zfs.plan import foresight, simulated_pool
from ec2zfs.plan.pool import FormatVolume, OpenVolume
from ec2zfs.plan.upkeep import (
    AddVdev,
    AwaitScan,
    ClearErrors,
    CloseVolume,
    DropMember,
    ExpandMembers,
    NoteScrub,
    OfflineMember,
    ReopenMember,
    ReplaceMember,
    StartScan,
    Step,
    UpkeepAction,
)
from ec2zfs.plan.volumes import (
    AttachVolume,
    CreateVolume,
    DeleteVolume,
    DetachVolume,
    ModifyVolume,
    RetireVolume,
    VolumeAction,
)

LONGEST = 10_000
"""More steps than any plan has; one that goes further would never end."""


def foreseen(plan: Callable[[Standing], Step], standing: Standing) -> tuple[tuple[Step, ...], Standing]:
    """Every step from here to the end, and the standing there. Raises what the plan raises."""
    steps: list[Step] = []
    while step := plan(standing):
        if len(steps) == LONGEST:
            raise RuntimeError(f"the plan has no end: after {LONGEST} steps it wants to {step[0]}")
        steps.append(step)
        for action in step:
            standing = after(standing, action)
    return tuple(steps), standing


def after(standing: Standing, action: UpkeepAction) -> Standing:
    """The standing once the action is done."""
    match action:
        case FormatVolume() | OpenVolume():
            return standing.seeing(foresight.after(standing.view, action))
        case CloseVolume(volume):
            return _closed(standing, volume)
        case ReopenMember(_, volume):
            return _in_pool(_opened(standing, volume), action)
        case (
            ReplaceMember()
            | OfflineMember()
            | DropMember()
            | ClearErrors()
            | ExpandMembers()
            | AddVdev()
            | StartScan()
            | AwaitScan()
            | NoteScrub()
        ):
            return _in_pool(standing, action)
        case _:
            return _at_ec2(standing, action)


def _at_ec2(standing: Standing, action: VolumeAction) -> Standing:
    match action:
        case CreateVolume():
            return replace(standing, volumes=(*standing.volumes, _created(standing, action)))
        case AttachVolume():
            return _attached(standing, action)
        case DetachVolume(volume):
            detached = _changed(standing, volume, attachment=None, state=_freed(volume))
            shown = tuple(each for each in standing.view.volumes if each.serial != volume.serial)
            return detached.seeing(replace(standing.view, volumes=shown))
        case DeleteVolume(volume):
            return replace(standing, volumes=tuple(each for each in standing.volumes if each.id != volume.id))
        case ModifyVolume(volume, size_gib, kind):
            return _changed(standing, volume, size_gib=size_gib, type=kind, schedule=None)
        case RetireVolume(volume, since):
            return _changed(standing, volume, retirement=Retirement(since))


def _created(standing: Standing, action: CreateVolume) -> Volume:
    """The new volume; a place that was given one before in the same foresight gives this one an id of its own."""
    volume = foresight.created(action)
    taken = any(each.id == volume.id for each in standing.volumes)
    return replace(volume, id=f"{volume.id}-g{volume.generation}") if taken else volume


def _freed(volume: Volume) -> VolumeState:
    return VolumeState.ERROR if volume.state is VolumeState.ERROR else VolumeState.AVAILABLE


def _changed(standing: Standing, volume: Volume, **changes: object) -> Standing:
    """The same with other values for one volume, whatever else became of it since it was planned for."""
    new = [replace(each, **changes) if each.id == volume.id else each for each in standing.volumes]  # type: ignore[arg-type]
    return replace(standing, volumes=tuple(new))


def _attached(standing: Standing, action: AttachVolume) -> Standing:
    bond = Attachment(action.instance_id, action.device, AttachmentState.ATTACHED)
    (volume,) = (each for each in standing.at(action.place) if each.generation == action.generation)
    standing = _changed(standing, volume, attachment=bond, state=VolumeState.IN_USE)
    if standing.view.volume(volume.serial):
        return standing
    shown = SeenVolume(volume.serial, f"/dev/{volume.serial}", untouched=True)
    return standing.seeing(replace(standing.view, volumes=(*standing.view.volumes, shown)))


def _closed(standing: Standing, volume: Volume) -> Standing:
    view = standing.view
    mappings = tuple(each for each in view.mappings if each != volume.mapping)
    opened = tuple(each for each in view.opened if each.name != volume.mapping)
    return standing.seeing(replace(view, mappings=mappings, opened=opened))


def _opened(standing: Standing, volume: Volume) -> Standing:
    """The volume's mapping open anew, on the device that is there now; without encryption there is none."""
    if not standing.design.encrypted:
        return standing
    view = _closed(standing, volume).view
    opened = (*view.opened, OpenMapping(volume.mapping, volume.size_gib * GIB))
    return standing.seeing(replace(view, mappings=tuple(sorted((*view.mappings, volume.mapping))), opened=opened))


def _in_pool(standing: Standing, action: simulated_pool.PoolChange) -> Standing:
    pool = simulated_pool.after(standing, action)
    return standing.seeing(replace(standing.view, imported=pool))
