"""What the metadata service tells an instance, gathered from the API's own objects. Reads only."""

from __future__ import annotations

from ec2zfs.lab.api.local import LocalEc2
from ec2zfs.lab.metadata import InstanceFacts


def instance_facts(local: LocalEc2, instance_id: str) -> InstanceFacts:
    """The facts of now. Raises InvalidInstanceID.NotFound."""
    with local.lock:
        instance = local.instance(instance_id)
        pair = local.backend.key_pairs.get(instance.key_name) if instance.key_name else None
        return InstanceFacts(
            instance_id=instance.id,
            instance_type=instance.instance_type,
            image_id=instance.image_id,
            region=local.settings.region,
            zone=instance.availability_zone or "",
            private_address=instance.private_ip or "",
            public_address=instance.public_ip or "",
            key_name=instance.key_name or "",
            public_key=pair.public_key.strip() if pair else "",
            user_data=instance.user_data.decode() if instance.user_data else "",
            interruption=local.marks.interruption.get(instance.id, {}),
            rebalance=local.marks.rebalance.get(instance.id, ""),
        )
