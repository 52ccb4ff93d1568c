"""Volumes take time to come and to go, and can end in `error`.

Rule: CreateVolume leads through `creating` to `available` or `error` (fact 9, fact 11), DeleteVolume through `deleting`
to InvalidVolume.NotFound; only an `available` or `error` volume can be deleted. Source: facts 9 and 11, EC2 user guide,
"Volume states". moto's volumes are `available` at once and gone at once.
"""

from __future__ import annotations

from functools import partial
from typing import cast

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.models.elastic_block_store import Volume

from ec2zfs.lab.api.local import ActionCall, LocalEc2, Proceed, refuse
from ec2zfs.lab.faults import FaultKind


def install(local: LocalEc2) -> None:
    """Give volumes a state of their own."""
    local.patches.replace(Volume, "status", property(partial(_status, local)))
    local.on_action("create_volume", partial(_create, local))
    local.on_action("delete_volume", partial(_delete, local))


def _status(local: LocalEc2, volume: Volume) -> str:
    own = local.marks.volume_status.get(volume.id)
    return own or ("in-use" if volume.attachment else "available")


def _create(local: LocalEc2, proceed: Proceed, _call: ActionCall) -> ActionResult:
    created = proceed()
    volume = cast(Volume, created.result)
    local.marks.volume_status[volume.id] = "creating"
    local.transitions.after(local.settings.times.volume_create, volume.id, partial(_made, local, volume))
    return created


def _made(local: LocalEc2, volume: Volume) -> None:
    broken = local.faults.strike(FaultKind.VOLUME_ERROR, volume.id)
    if broken is None:
        local.room.create_volume(volume.id, volume.size)
    with local.lock:
        if broken:
            local.marks.volume_status[volume.id] = "error"
        else:
            del local.marks.volume_status[volume.id]


def _delete(local: LocalEc2, _proceed: Proceed, call: ActionCall) -> ActionResult:
    volume = call.backend.get_volume(call.text("VolumeId"))
    if volume.attachment:
        refuse(
            "VolumeInUse",
            f"Volume {volume.id} is currently attached to {volume.attachment.instance.id}",
        )
    if volume.status not in ("available", "error", "deleting"):
        refuse("IncorrectState", f"Volume '{volume.id}' is in the '{volume.status}' state.")
    call.stop_if_dry_run()
    if volume.status != "deleting":
        local.marks.volume_status[volume.id] = "deleting"
        local.transitions.after(local.settings.times.volume_delete, volume.id, partial(_gone, local, volume))
    return EmptyResult()


def _gone(local: LocalEc2, volume: Volume) -> None:
    local.room.delete_volume(volume.id)
    with local.lock:
        local.marks.volume_status[volume.id] = "deleted"
        local.backend.volumes.pop(volume.id, None)
