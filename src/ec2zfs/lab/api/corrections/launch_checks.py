"""RunInstances refuses what does not exist or does not fit together.

Rule: an unknown image (InvalidAMIID.NotFound), key pair (InvalidKeyPair.NotFound) or instance type
(InvalidParameterValue), and a type whose processor is not the image's (InvalidParameterValue), are refused. Machines
here have their root volume only; it goes with its instance unless said otherwise. Source: EC2 API reference, "Error
codes"; RunInstances' root volume follows the AMI's DeleteOnTermination. moto accepts all of them by default.
"""

from __future__ import annotations

from functools import partial

import moto.settings
from moto.core.responses import ActionResult
from moto.ec2.models.instance_types import INSTANCE_TYPES

from ec2zfs.lab.api.local import ActionCall, LocalEc2, Proceed, refuse


def install(local: LocalEc2) -> None:
    """Turn moto's own checks on, and add ours."""
    for check in ("ENABLE_AMI_VALIDATION", "ENABLE_KEYPAIR_VALIDATION", "EC2_ENABLE_INSTANCE_TYPE_VALIDATION"):
        local.patches.replace(moto.settings, check, True)
    local.on_action("run_instances", partial(_run, local))


def _run(local: LocalEc2, proceed: Proceed, call: ActionCall) -> ActionResult:
    image_id, kind = call.text("ImageId"), call.text("InstanceType", "m1.small")
    image = local.backend.amis.get(image_id)
    if kind not in INSTANCE_TYPES:
        refuse("InvalidParameterValue", f"Invalid value '{kind}' for InstanceType.")
    processors = INSTANCE_TYPES[kind]["ProcessorInfo"]["SupportedArchitectures"]
    if image is not None and image.architecture not in processors:
        refuse(
            "InvalidParameterValue",
            f"The architecture '{processors[0]}' of the specified instance type does not match the architecture "
            f"'{image.architecture}' of the specified AMI. Specify an instance type and an AMI that have matching "
            "architectures, and try again.",
        )
    for mapping in call.structures("BlockDeviceMappings"):
        if image is not None and mapping["DeviceName"] != image.root_device_name:
            refuse("UnsupportedOperation", "The local EC2 launches machines with their root volume only.")
        mapping.setdefault("Ebs", {}).setdefault("DeleteOnTermination", True)
        mapping["Ebs"].setdefault("VolumeSize", 8)
    return proceed()
