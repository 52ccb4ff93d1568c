"""Finds the machine image that the configuration names. Changes nothing.

A name is looked up among the account's own images only: whoever publishes an image under a well-known name could
otherwise have it run with the operator's data (the "whoAMI" confusion of names). Others' images are named by their id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ec2zfs.cloud import tags
from ec2zfs.cloud.errors import aws_errors
from ec2zfs.cloud.protocols import Image
from ec2zfs.errors import CloudError

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import ImageTypeDef

__all__ = ["Image", "find_image"]

NO_IMAGE = "InvalidAMIID.NotFound"
"""The code of the error for an image that is not there, whether EC2 said so or found none."""

_GONE = frozenset({NO_IMAGE, "InvalidAMIID.Unavailable", "InvalidAMIID.Malformed"})


def find_image(ec2: EC2Client, wanted: str) -> Image:
    """The image `ami-…`, or the newest of the account's own whose name matches (`*` and `?` as EC2 reads them).

    Raises `CloudError` when there is none that is available.
    """
    by_id = wanted.startswith("ami-")
    found = [image for image in _described(ec2, wanted, by_id=by_id) if image.get("State") == "available"]
    if not found:
        whose = "that is available" if by_id else "of this account's own by that name"
        raise CloudError(
            f"There is no image {wanted} {whose} in region {ec2.meta.region_name}.",
            hint="Check receiver.image: an id (ami-…), or the name of an image of this account.",
            code=NO_IMAGE,
            action="ec2:DescribeImages",
        )
    return _image(max(found, key=lambda image: image.get("CreationDate", "")))


def _described(ec2: EC2Client, wanted: str, *, by_id: bool) -> list[ImageTypeDef]:
    try:
        with aws_errors():
            if by_id:
                # Somebody else's image that is deprecated by now is hidden, unless it is asked for by its id.
                return ec2.describe_images(ImageIds=[wanted], IncludeDeprecated=True)["Images"]
            pages = ec2.get_paginator("describe_images").paginate(
                Owners=["self"], Filters=[tags.filtered("name", wanted)]
            )
            return [image for page in pages for image in page["Images"]]
    except CloudError as error:
        if error.code in _GONE:
            return []
        raise


def _image(described: ImageTypeDef) -> Image:
    root = described.get("RootDeviceName", "/dev/xvda")
    mappings = described.get("BlockDeviceMappings", [])
    sizes = [each.get("Ebs", {}).get("VolumeSize", 0) for each in mappings if each.get("DeviceName") == root]
    return Image(
        id=described["ImageId"],
        name=described.get("Name", ""),
        architecture=described.get("Architecture", ""),
        root_device=root,
        root_gib=max(sizes, default=0),
    )
