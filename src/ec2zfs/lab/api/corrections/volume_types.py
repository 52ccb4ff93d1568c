"""Every volume type has its limits of size, IOPS and throughput.

Rule: CreateVolume and ModifyVolume refuse what the type does not allow (InvalidParameterValue), and give gp3 its 3,000
IOPS and 125 MiB/s when nothing else is asked. Source: fact 1 (botocore's CreateVolume and ModifyVolume). moto accepts
an st1 volume of 1 GiB.
"""

from __future__ import annotations

from dataclasses import dataclass

from moto.core.responses import ActionResult

from ec2zfs.lab.api.local import ActionCall, LocalEc2, Proceed, refuse


@dataclass(frozen=True)
class Limits:
    """Least and most; sizes in GiB, throughput in MiB/s; None where a type does not let one choose."""

    size: tuple[int, int]
    iops: tuple[int, int] | None = None
    throughput: tuple[int, int] | None = None


LIMITS = {
    "gp3": Limits((1, 65_536), (3_000, 80_000), (125, 2_000)),
    "gp2": Limits((1, 16_384)),
    "io2": Limits((4, 65_536), (100, 256_000)),
    "io1": Limits((4, 16_384), (100, 64_000)),
    "st1": Limits((125, 16_384)),
    "sc1": Limits((125, 16_384)),
    "standard": Limits((1, 1_024)),
}
DEFAULT = "gp2"


def install(local: LocalEc2) -> None:
    """Check both actions."""
    local.on_action("create_volume", _create)
    local.on_action("modify_volume", _modify)


def _create(proceed: Proceed, call: ActionCall) -> ActionResult:
    kind = call.text("VolumeType", DEFAULT)
    _check(kind, call.number("Size"), call.number("Iops"), call.number("Throughput"))
    if kind == "gp3" and call.number("Throughput") is None:
        call.set_parameter("Throughput", 125)
    return proceed()


def _modify(proceed: Proceed, call: ActionCall) -> ActionResult:
    volume = call.backend.get_volume(call.text("VolumeId"))
    kind = call.text("VolumeType", volume.volume_type)
    _check(kind, call.number("Size") or volume.size, call.number("Iops"), call.number("Throughput"))
    return proceed()


def _check(kind: str, size: int | None, iops: int | None, throughput: int | None) -> None:
    limits = LIMITS.get(kind)
    if limits is None:
        refuse("InvalidParameterValue", f"Invalid value '{kind}' for volumeType.")
    if size is not None:
        _within(size, limits.size, f"Volume of {size}GiB", f"volume type {kind}", "GiB")
    if iops is not None and limits.iops:
        _within(iops, limits.iops, f"Volume iops of {iops}", f"volume type {kind}", "")
    if throughput is not None and limits.throughput:
        _within(throughput, limits.throughput, f"Throughput of {throughput}MiB/s", f"volume type {kind}", "MiB/s")


def _within(value: int, limits: tuple[int, int], what: str, whose: str, unit: str) -> None:
    least, most = limits
    if value < least:
        refuse("InvalidParameterValue", f"{what} is too small for {whose}; minimum is {least}{unit}.")
    if value > most:
        refuse("InvalidParameterValue", f"{what} is too large for {whose}; maximum is {most}{unit}.")
