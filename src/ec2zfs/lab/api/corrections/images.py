"""The images that exist are ours.

Rule: DescribeImages shows what can be launched. Source: the lab can boot the image that it built and no other; moto
shows hundreds of real AMIs that nobody here could boot.
"""

from __future__ import annotations

import moto.settings
from moto.ec2.models.amis import Ami

from ec2zfs.lab.api.local import LocalEc2


def hide_others(local: LocalEc2) -> None:
    """Let moto make its backends without images; to be called before it makes one."""
    local.patches.replace(moto.settings, "ec2_load_default_amis", lambda: False)


def install(local: LocalEc2) -> None:
    """Register our images."""
    for image in local.settings.images:
        local.backend.amis[image.id] = Ami(
            local.backend,
            image.id,
            name=image.name,
            description=image.description,
            architecture=image.architecture,
            virtualization_type="hvm",
            hypervisor="xen",
            root_device_type="ebs",
            region_name=local.settings.zones[0],
        )
