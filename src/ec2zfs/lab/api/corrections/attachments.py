"""Attaching and detaching take time, and what cannot be attached is refused.

Rule: AttachVolume leads through `attaching` to `attached`; refused when the volume is attached already (VolumeInUse),
not available (IncorrectState), in another zone (InvalidVolume.ZoneMismatch), when the instance is neither running nor
stopped (IncorrectState), or when the device name is taken. DetachVolume needs no InstanceId, leads through `detaching`
to no attachment, and is `busy` as long as the guest holds on to the disk; with Force the attachment ends all the same,
and that of one that is `busy` or `detaching` already, too. Source: fact 9, EC2 API reference, "Error codes". moto
attaches twice and across zones, at once, and fails with 500 without InstanceId.
"""

from __future__ import annotations

from functools import partial
from typing import cast

from moto.core.responses import ActionResult
from moto.ec2.models.elastic_block_store import Volume, VolumeAttachment
from moto.ec2.models.instances import Instance

from ec2zfs.lab.api.local import ActionCall, LocalEc2, Proceed, refuse
from ec2zfs.lab.faults import FaultKind


def install(local: LocalEc2) -> None:
    """Take over both actions."""
    local.on_action("attach_volume", partial(_attach, local))
    local.on_action("detach_volume", partial(_detach, local))


def _attach(local: LocalEc2, _proceed: Proceed, call: ActionCall) -> ActionResult:
    volume = call.backend.get_volume(call.text("VolumeId"))
    instance = call.backend.get_instance(call.text("InstanceId"))
    device = call.text("Device") or refuse("MissingParameter", "The request must contain the parameter device")
    _check(volume, instance, device)
    call.stop_if_dry_run()
    attachment = cast(VolumeAttachment, call.backend.attach_volume(volume.id, instance.id, device))
    _set_state(attachment, "attaching")
    if local.faults.strike(FaultKind.HANG_ATTACH, volume.id) is None:
        work = partial(_attached, local, volume, attachment)
        local.transitions.after(local.settings.times.attach, volume.id, work)
    return _answer(attachment)


def _check(volume: Volume, instance: Instance, device: str) -> None:
    if volume.attachment:
        refuse("VolumeInUse", f"{volume.id} is already attached to an instance")
    if volume.status != "available":
        refuse("IncorrectState", f"Volume '{volume.id}' is not 'available'.")
    if instance.state not in ("running", "stopped"):
        refuse("IncorrectState", f"Instance '{instance.id}' is not 'running'.")
    if volume.availability_zone != instance.placement.zone:
        refuse(
            "InvalidVolume.ZoneMismatch",
            f"The volume '{volume.id}' is not in the same availability zone as instance '{instance.id}'",
        )
    if device in instance.block_device_mapping:
        refuse(
            "InvalidParameterValue",
            f"Invalid value '{device}' for unixDevice. Attachment point {device} is already in use",
        )


def _attached(local: LocalEc2, volume: Volume, attachment: VolumeAttachment) -> None:
    with local.lock:
        if volume.attachment is not attachment or attachment.status != "attaching":
            return
    local.room.attach(attachment.instance.id, volume.id)
    with local.lock:
        if volume.attachment is attachment and attachment.status == "attaching":
            _set_state(attachment, "attached")


def _detach(local: LocalEc2, _proceed: Proceed, call: ActionCall) -> ActionResult:
    volume = call.backend.get_volume(call.text("VolumeId"))
    attachment = volume.attachment
    if attachment is None:
        refuse("IncorrectState", f"Volume '{volume.id}' is in the '{volume.status}' state.")
    instance = attachment.instance
    if call.text("InstanceId", instance.id) != instance.id:
        refuse("InvalidAttachment.NotFound", f"Volume '{volume.id}' is not attached to that instance.")
    if call.text("Device", attachment.device) != attachment.device:
        refuse("InvalidAttachment.NotFound", f"Volume '{volume.id}' is not attached as that device.")
    if attachment.device == instance.root_device_name and instance.state != "stopped":
        refuse("OperationNotPermitted", f"Unable to detach root volume '{volume.id}' from instance '{instance.id}'")
    call.stop_if_dry_run()
    force = call.text("Force").lower() == "true"
    leaving = attachment.status in ("detaching", "busy")
    if not leaving:
        _set_state(attachment, "detaching")
    if force or not leaving:
        _begin_to_detach(local, volume, attachment, force)
    return _answer(attachment)


def _begin_to_detach(local: LocalEc2, volume: Volume, attachment: VolumeAttachment, force: bool) -> None:
    work = partial(_detached, local, volume, attachment, force)
    local.transitions.after(local.settings.times.detach, volume.id, work)


def _detached(local: LocalEc2, volume: Volume, attachment: VolumeAttachment, force: bool) -> None:
    with local.lock:
        if volume.attachment is not attachment:
            return
    try:
        local.room.detach(attachment.instance.id, volume.id, force=force)
    except TimeoutError:
        with local.lock:
            _set_state(attachment, "busy")
        _begin_to_detach(local, volume, attachment, force)
        return
    with local.lock:
        if volume.attachment is attachment:
            local.backend.detach_volume(volume.id, attachment.instance.id, attachment.device)


def _set_state(attachment: VolumeAttachment, name: str) -> None:
    attachment.status = name
    mapping = attachment.instance.block_device_mapping.get(attachment.device)
    if mapping:
        mapping.status = name


def _answer(attachment: VolumeAttachment) -> ActionResult:
    return ActionResult(
        {
            "VolumeId": attachment.volume.id,
            "InstanceId": attachment.instance.id,
            "Device": attachment.device,
            "State": attachment.status,
            "AttachTime": attachment.attach_time,
        }
    )
