"""Public addresses are reachable from here and from nowhere else.

Rule: a started instance gets a new public address, which changes with every stop and start. Source: EC2 user guide,
"Public IPv4 addresses". moto hands out addresses that belong to others; ours are of the loopback network, and none is
given twice.
"""

from __future__ import annotations

from moto.ec2.models import elastic_network_interfaces

from ec2zfs.lab.api.local import LocalEc2
from ec2zfs.lab.environment import loopback_address


def install(local: LocalEc2) -> None:
    """Hand out loopback addresses."""
    given: set[str] = set()

    def fresh_address() -> str:
        while (address := loopback_address()) in given:
            pass
        given.add(address)
        return address

    local.patches.replace(elastic_network_interfaces, "random_public_ip", fresh_address)
