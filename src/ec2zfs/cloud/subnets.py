"""The subnet that the configuration names: its VPC and its zone. Reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ec2zfs.cloud.errors import aws_errors

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import SubnetTypeDef


@aws_errors()
def described_subnet(ec2: EC2Client, subnet_id: str) -> SubnetTypeDef:
    """What EC2 says of it. Raises `CloudError` when there is none."""
    return ec2.describe_subnets(SubnetIds=[subnet_id])["Subnets"][0]
