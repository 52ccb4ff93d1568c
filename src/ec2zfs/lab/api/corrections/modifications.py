"""Elastic Volumes: a modification takes time, never shrinks, and is limited in number.

Rule: ModifyVolume leads through `modifying` and `optimizing` to `completed`; the new size is there from `optimizing`
on. Refused: a smaller size (InvalidParameterValue), a volume whose last modification is not completed
(IncorrectModificationState), and a fifth modification within 24 hours (VolumeModificationRateExceeded, which says when
the next is allowed). DescribeVolumesModifications shows the latest modification of a volume only. Source: fact 4; error
codes as reported for EC2's own answers. moto completes at once, shrinks, and has no limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import cast

from moto.core.responses import ActionResult
from moto.ec2.models.elastic_block_store import Volume
from moto.ec2.responses import EC2Response
from moto.ec2.utils import generic_filter

from ec2zfs.lab.api.local import ActionCall, LocalEc2, Proceed, refuse

IN_A_WINDOW = 4
_PROGRESS = {"modifying": 0, "optimizing": 50, "completed": 100}


@dataclass(frozen=True)
class Shape:
    """What a modification can change. `size` in GiB, `throughput` in MiB/s."""

    size: int
    volume_type: str
    iops: int | None
    throughput: int | None


class Modification:
    """One modification, with the attribute names that the API's answer has."""

    def __init__(self, volume_id: str, original: Shape, target: Shape) -> None:
        self.volume_id = volume_id
        self.modification_state = "modifying"
        self.original_size, self.target_size = original.size, target.size
        self.original_volume_type, self.target_volume_type = original.volume_type, target.volume_type
        self.original_iops, self.target_iops = original.iops, target.iops
        self.original_throughput, self.target_throughput = original.throughput, target.throughput
        self.target = target
        self.start_time = datetime.now(UTC).replace(tzinfo=None)
        self.end_time: datetime | None = None

    @property
    def progress(self) -> int:
        """Percent done."""
        return _PROGRESS[self.modification_state]

    def get_filter_value(self, name: str) -> object:
        """The value that a describe filter compares."""
        value: object = getattr(self, name.replace("-", "_"))
        return value


def install(local: LocalEc2) -> None:
    """Take over both actions."""
    local.on_action("modify_volume", partial(_modify, local))
    local.on_action("describe_volumes_modifications", _describe)
    forced = {
        path: change
        for path, change in EC2Response.RESPONSE_KEY_PATH_TO_TRANSFORMER.items()
        if not path.startswith("ModifyVolumeResponse.")
    }
    local.patches.replace(EC2Response, "RESPONSE_KEY_PATH_TO_TRANSFORMER", forced)


def _modify(local: LocalEc2, _proceed: Proceed, call: ActionCall) -> ActionResult:
    volume = call.backend.get_volume(call.text("VolumeId"))
    original = Shape(volume.size, volume.volume_type, volume.iops, volume.throughput)
    target = Shape(
        call.number("Size") or original.size,
        call.text("VolumeType", original.volume_type),
        call.number("Iops") or original.iops,
        call.number("Throughput") or original.throughput,
    )
    _check(local, volume, target)
    call.stop_if_dry_run()
    modification = Modification(volume.id, original, target)
    _modifications(volume).append(modification)
    work = partial(_optimizing, local, volume, modification)
    local.transitions.after(local.settings.times.modify, _owner(volume), work)
    return ActionResult({"VolumeModification": modification})


def _check(local: LocalEc2, volume: Volume, target: Shape) -> None:
    if volume.status not in ("available", "in-use"):
        refuse("IncorrectState", f"Volume '{volume.id}' is in the '{volume.status}' state.")
    if target.size < volume.size:
        refuse("InvalidParameterValue", f"New size cannot be smaller than existing size of {volume.size} GiB")
    modifications = _modifications(volume)
    if not modifications:
        return
    latest = modifications[-1]
    if latest.modification_state != "completed":
        state = latest.modification_state.upper()
        refuse("IncorrectModificationState", f"Volume {volume.id} cannot be modified in modification state {state}")
    window = timedelta(seconds=local.settings.times.modification_window)
    since = datetime.now(UTC).replace(tzinfo=None) - window
    recent = [change.start_time for change in modifications if change.start_time > since]
    if len(recent) >= IN_A_WINDOW:
        refuse(
            "VolumeModificationRateExceeded",
            f"You've reached the maximum modification rate per volume limit of {IN_A_WINDOW} in 24 hours. "
            f"You can modify volume {volume.id} again after {recent[0] + window:%Y-%m-%dT%H:%M:%SZ}.",
        )


def _modifications(volume: Volume) -> list[Modification]:
    """The list in which moto keeps its own modifications; only ours ever come into it."""
    return cast(list[Modification], volume.modifications)


def _owner(volume: Volume) -> str:
    return f"{volume.id} modification"


def _optimizing(local: LocalEc2, volume: Volume, modification: Modification) -> None:
    local.room.resize_volume(volume.id, modification.target.size)
    with local.lock:
        modification.modification_state = "optimizing"
        volume.size = modification.target.size
        volume.volume_type = modification.target.volume_type
        volume.iops = modification.target.iops
        volume.throughput = modification.target.throughput
    work = partial(_completed, local, modification)
    local.transitions.after(local.settings.times.optimize, _owner(volume), work)


def _completed(local: LocalEc2, modification: Modification) -> None:
    with local.lock:
        modification.modification_state = "completed"
        modification.end_time = datetime.now(UTC).replace(tzinfo=None)


def _describe(_proceed: Proceed, call: ActionCall) -> ActionResult:
    ids = call.texts("VolumeIds")
    volumes = call.backend.describe_volumes(volume_ids=ids)
    for volume in volumes:
        if ids and not volume.modifications:
            refuse("InvalidVolumeModification.NotFound", f"Modification for volume '{volume.id}' does not exist.")
    latest = [volume.modifications[-1] for volume in volumes if volume.modifications]
    filters = {entry["Name"]: entry.get("Values", []) for entry in call.structures("Filters")}
    return ActionResult({"VolumesModifications": generic_filter(filters, latest)})
