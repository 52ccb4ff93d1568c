"""The RunInstances call for an order: how a receiver is made safe. Pure.

IMDSv2 only, one hop (fact 23); no hibernation, which would write the pool key to disk (fact 15); T types without
surplus credits (fact 24); an encrypted root volume that goes with the instance; spot as one-time, ended and never
stopped (fact 15); an instance that shuts itself down stops, or is gone when it is spot (fact 18).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from ec2zfs.cloud import tags
from ec2zfs.cloud.tokens import client_token
from ec2zfs.model.instance import Market

if TYPE_CHECKING:
    from mypy_boto3_ec2.literals import InstanceTypeType
    from mypy_boto3_ec2.type_defs import BlockDeviceMappingTypeDef, RunInstancesRequestTypeDef

    from ec2zfs.cloud.protocols import InstanceOrder

_BURSTABLE = re.compile(r"t\d")


def run_request(order: InstanceOrder, pool: str, attempt: int) -> RunInstancesRequestTypeDef:
    """Everything that RunInstances is told; `attempt` counts the client tokens of this order (cloud/tokens.py)."""
    spot = order.market is Market.SPOT
    request: RunInstancesRequestTypeDef = {
        "MinCount": 1,
        "MaxCount": 1,
        "ClientToken": client_token(_name(order, pool), attempt),
        "ImageId": order.image.id,
        "InstanceType": cast("InstanceTypeType", order.type),
        "KeyName": order.key_name,
        "SecurityGroupIds": [order.security_group_id],
        "UserData": order.user_data,
        "BlockDeviceMappings": [_root(order)],
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1, "HttpEndpoint": "enabled"},
        "HibernationOptions": {"Configured": False},
        "InstanceInitiatedShutdownBehavior": "terminate" if spot else "stop",
        "TagSpecifications": [
            tags.specification("instance", _tags(pool, tags.ROLE_RECEIVER, "receiver")),
            tags.specification("volume", _tags(pool, tags.ROLE_ROOT, "receiver root")),
        ],
    }
    if order.subnet_id:
        request["SubnetId"] = order.subnet_id
    else:
        request["Placement"] = {"AvailabilityZone": order.zone}
    if spot:
        request["InstanceMarketOptions"] = {
            "MarketType": "spot",
            "SpotOptions": {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"},
        }
    if _BURSTABLE.match(order.type):
        request["CreditSpecification"] = {"CpuCredits": "standard"}
    return request


def _name(order: InstanceOrder, pool: str) -> dict[str, str]:
    """What tells one order from another: the fallback from spot to on-demand, or to another type, is another order."""
    return {
        tags.POOL: pool,
        tags.ROLE: tags.ROLE_RECEIVER,
        "type": order.type,
        "market": order.market,
        "zone": order.zone,
    }


def _tags(pool: str, role: str, name: str) -> dict[str, str]:
    return {tags.POOL: pool, tags.ROLE: role, tags.NAME: f"ec2zfs {pool} {name}"}


def _root(order: InstanceOrder) -> BlockDeviceMappingTypeDef:
    return {
        "DeviceName": order.image.root_device,
        "Ebs": {
            "VolumeSize": max(order.root_gib, order.image.root_gib),
            "VolumeType": "gp3",
            "Encrypted": True,
            "DeleteOnTermination": True,
        },
    }
