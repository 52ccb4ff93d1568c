"""What EC2 says of an instance type: memory, architecture, and how many volumes it takes (facts 7, 24). Reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ec2zfs.cloud.errors import aws_errors
from ec2zfs.errors import CloudError, ConfigurationError
from ec2zfs.model.instance import InstanceType

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.literals import InstanceTypeType
    from mypy_boto3_ec2.type_defs import InstanceTypeInfoTypeDef

USUAL_ATTACHMENTS = 27
"""What Nitro types take beside their first network interface where EC2 does not say otherwise (fact 7)."""

_UNKNOWN = frozenset({"InvalidInstanceType", "InvalidParameterValue"})


def instance_type(ec2: EC2Client, name: str) -> InstanceType:
    """The type of this name.

    `attachments` counts the root volume, and where they are shared the network interfaces too. Raises
    `ConfigurationError` for a type that EC2 does not know, and for one before Nitro, on which a disk does not show
    its volume's id (fact 8).
    """
    described = _described(ec2, name)
    if described.get("Hypervisor") == "xen":
        raise ConfigurationError(
            f"Instance type {name} is older than Nitro: its disks do not tell which volume they are.",
            hint="Set receiver.instance_type to a newer one, such as m7g.medium.",
        )
    ebs = described.get("EbsInfo", {})
    architectures = described.get("ProcessorInfo", {}).get("SupportedArchitectures", [])
    return InstanceType(
        name=name,
        memory_mib=described.get("MemoryInfo", {}).get("SizeInMiB", 0),
        attachments=ebs.get("MaximumEbsAttachments", USUAL_ATTACHMENTS),
        attachments_shared=ebs.get("AttachmentLimitType", "shared") == "shared",
        architecture=next((each for each in architectures if each != "i386"), ""),
    )


def _described(ec2: EC2Client, name: str) -> InstanceTypeInfoTypeDef:
    try:
        with aws_errors():
            found = ec2.describe_instance_types(InstanceTypes=[cast("InstanceTypeType", name)])["InstanceTypes"]
    except CloudError as error:
        if error.code not in _UNKNOWN:
            raise
        found = []
    if not found:
        raise ConfigurationError(
            f"EC2 knows no instance type {name} in region {ec2.meta.region_name}.", hint="Check receiver.instance_type."
        )
    return found[0]
