"""Which volumes that left the pool are deleted now: those that it has done without, in good health, long enough. Pure.

Nothing is deleted that the pool uses, or whose successor is not a good member of a healthy pool at this moment.
"""

from __future__ import annotations

from datetime import timedelta

from ec2zfs.model.pool import DeviceState
from ec2zfs.model.standing import Standing
from ec2zfs.model.volume import Volume
from ec2zfs.plan.volumes import DeleteVolume, DetachVolume


def plan_expiry(standing: Standing, grace: timedelta) -> tuple[DetachVolume | DeleteVolume, ...]:
    """What ends the volumes that are out of a healthy pool for `grace`; one that still hangs there is detached first.

    None at all while the pool is not healthy or resilvers: a volume that was kept may be the last resort then.
    """
    pool = standing.pool
    if not pool.healthy or pool.resilvering:
        return ()
    expired = [volume for volume in standing.volumes if _is_expired(standing, volume, grace)]
    return tuple(_end(standing, volume) for volume in expired if _is_needless(standing, volume))


def _is_expired(standing: Standing, volume: Volume, grace: timedelta) -> bool:
    since = volume.retirement.since if volume.retirement else None
    return since is not None and since + grace <= standing.now


def _is_needless(standing: Standing, volume: Volume) -> bool:
    """Whether neither the pool nor anybody else uses the volume, and its place is filled or no more in the pool."""
    if standing.member(volume) or volume.mapping in standing.view.mappings or _hangs_elsewhere(standing, volume):
        return False
    members = standing.members(volume.place)
    if members:
        return any(member.state is DeviceState.ONLINE for member in members)
    # A member whose place nobody can tell may be the one that stands there.
    return all(standing.place_of(member) for member in standing.pool.members)


def _hangs_elsewhere(standing: Standing, volume: Volume) -> bool:
    """Whether somebody has attached it to another machine, to look at it."""
    return volume.attachment is not None and volume.attachment.instance_id != standing.instance


def _end(standing: Standing, volume: Volume) -> DetachVolume | DeleteVolume:
    return DetachVolume(volume) if volume.attachment else DeleteVolume(volume, _reason(standing, volume))


def _reason(standing: Standing, volume: Volume) -> str:
    since = volume.retirement.since if volume.retirement else None
    kept = f"out of a healthy pool since {since:%Y-%m-%d %H:%M} UTC"
    members = standing.members(volume.place)
    if not members:
        return f"{kept}; {volume.place} is no more in the pool"
    now = standing.volume_of(members[0])
    return f"{kept}; {f'{now.mapping} ({now.id})' if now else members[0].name} stands there now"
