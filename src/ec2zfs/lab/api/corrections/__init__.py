"""Where moto differs from EC2 in what we rely on, one file a rule: the rule, its source, and what moto does instead.

`install_all` puts them in force. A later one stands around the earlier ones, so the order is from the heart outwards.
"""

from __future__ import annotations

from ec2zfs.lab.api.corrections import (
    addresses,
    attachment_limit,
    attachments,
    client_tokens,
    console,
    images,
    instance_states,
    launch_checks,
    modifications,
    pages,
    spot,
    volume_states,
    volume_types,
)
from ec2zfs.lab.api.lifecycle import Lifecycle
from ec2zfs.lab.api.local import LocalEc2


def install_all(local: LocalEc2, lifecycle: Lifecycle) -> None:
    """Put every correction of EC2 in force; `local.patches.undo()` ends them. (S3's stand before moto: `gateway`.)"""
    images.install(local)
    addresses.install(local)
    instance_states.install(local, lifecycle)
    volume_states.install(local)
    attachments.install(local)
    modifications.install(local)
    spot.install(local)
    console.install(local)
    attachment_limit.install(local)
    volume_types.install(local)
    launch_checks.install(local)
    client_tokens.install(local)
    pages.install(local)
