"""An instance type takes so many volumes and no more.

Rule: AttachVolume is refused with AttachmentLimitExceeded when the instance has as many volumes as the type's
`EbsInfo.MaximumEbsAttachments` allows, its root volume among them; of a `shared` limit each network interface beyond
the first takes one away. Source: fact 7. moto has the table (DescribeInstanceTypes shows it) and does not keep to it.
"""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2.models.instances import Instance

from ec2zfs.lab.api.local import ActionCall, LocalEc2, Proceed, refuse

# What fact 7 gives for a Nitro type without a figure of its own.
USUAL = 27


def install(local: LocalEc2) -> None:
    """Count before attaching."""
    local.on_action("attach_volume", _attach)


def _attach(proceed: Proceed, call: ActionCall) -> ActionResult:
    instance = call.backend.get_instance(call.text("InstanceId"))
    volume = call.backend.get_volume(call.text("VolumeId"))
    limit = attachment_limit(instance)
    if not volume.attachment and len(instance.block_device_mapping) >= limit:
        refuse(
            "AttachmentLimitExceeded",
            f"The instance '{instance.id}' of type {instance.instance_type} has reached its limit of {limit} volumes.",
        )
    return proceed()


def attachment_limit(instance: Instance) -> int:
    """How many volumes the instance can have, the root volume included."""
    facts: dict[str, Any] = INSTANCE_TYPES.get(instance.instance_type, {}).get("EbsInfo", {})
    most = int(facts.get("MaximumEbsAttachments", USUAL))
    if facts.get("AttachmentLimitType", "shared") == "shared":
        most -= max(0, len(instance.nics) - 1)
    return most
