"""The one security group of a pool's receivers: made once, opened to one address range, closed again.

Never leaves more open than ssh, and the ports of streams while some are under way, both to one address range; and never
changes a group that does not carry our tags.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ec2zfs.cloud import tags
from ec2zfs.cloud.errors import aws_errors
from ec2zfs.cloud.patience import Patience
from ec2zfs.cloud.protocols import Ingress, Ports, rule
from ec2zfs.cloud.subnets import described_subnet
from ec2zfs.errors import CloudError, Refused

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import IpPermissionOutputTypeDef, IpPermissionTypeDef, SecurityGroupTypeDef

_UNKNOWN = "InvalidGroup.NotFound"


class SecurityGroup:
    """The pool's group in the VPC of the subnet, or in the region's default VPC; a `SecurityGroupApi`."""

    def __init__(
        self,
        ec2: EC2Client,
        pool: str,
        subnet_id: str | None = None,
        patience: Patience = Patience(),  # noqa: B008 frozen
    ) -> None:
        self._ec2 = ec2
        self._pool = pool
        self._subnet_id = subnet_id
        self._patience = patience

    def ensure(self) -> str:
        """The group's id; the group is made when it is not there, open to nobody.

        Raises `Refused` when a group of that name exists that is not ours, `CloudError` when there is no VPC.
        """
        vpc = self._vpc()
        if group := self._group(vpc):
            return group["GroupId"]
        try:
            return self._created(vpc)
        except CloudError as error:
            if error.code != "InvalidGroup.Duplicate":
                raise
            if group := self._patience.until(lambda: self._group(vpc), self._patience.settle_seconds):
                return group["GroupId"]
            raise Refused(
                f"{vpc} has a security group {self._name}, but it does not carry the tags of pool {self._pool}.",
                hint="Rename or delete that group.",
            ) from error

    def open(self, cidr: str, port: int, *, streams: Ports | None = None) -> bool:
        """Let this address range reach this TCP port, and nobody else anything; whether it could not before.

        `streams`: ports that stay open to the same range, where they are. Makes the group when it is not there. Raises
        `Refused` for a range that is everybody.
        """
        wanted = rule(cidr, (port, port))
        kept = {wanted} if streams is None else {wanted, rule(cidr, streams)}
        group_id = self.ensure()
        rules = self.ingress()
        closed = wanted not in rules
        if closed:
            self._authorize(group_id, wanted)
        self._revoke(group_id, tuple(each for each in rules if each not in kept))
        return closed

    def admit(self, cidr: str, streams: Ports) -> None:
        """Let this address range reach these TCP ports as well. Success when it can already.

        Makes the group when it is not there. Raises `Refused` for a range that is everybody.
        """
        self._authorize(self.ensure(), rule(cidr, streams))

    def expel(self, streams: Ports) -> None:
        """Let nobody reach these TCP ports any more. Success when nobody can, or the group does not exist."""
        if group := self._group(self._vpc()):
            found = tuple(each for each in _rules(group) if (each.from_port, each.to_port) == streams)
            self._revoke(group["GroupId"], found)

    def close(self) -> None:
        """Let nobody in any more. Success when the group does not exist."""
        if group := self._group(self._vpc()):
            self._revoke(group["GroupId"], _rules(group))

    def ingress(self) -> tuple[Ingress, ...]:
        """Who may reach what now; nobody when the group does not exist."""
        group = self._group(self._vpc())
        return _rules(group) if group else ()

    @property
    def _name(self) -> str:
        return f"ec2zfs-{self._pool}"

    @aws_errors()
    def _vpc(self) -> str:
        if self._subnet_id:
            return described_subnet(self._ec2, self._subnet_id)["VpcId"]
        found = self._ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
        if not found:
            raise CloudError("The account has no default VPC in this region.", hint="Set receiver.subnet_id.")
        return found[0]["VpcId"]

    @aws_errors()
    def _group(self, vpc: str) -> SecurityGroupTypeDef | None:
        filters = [*tags.of_pool(self._pool, tags.ROLE_SECURITY_GROUP), tags.filtered("vpc-id", vpc)]
        pages = self._ec2.get_paginator("describe_security_groups").paginate(Filters=filters)
        return next((group for page in pages for group in page["SecurityGroups"]), None)

    @aws_errors()
    def _created(self, vpc: str) -> str:
        values = {tags.POOL: self._pool, tags.ROLE: tags.ROLE_SECURITY_GROUP, tags.NAME: self._name}
        return self._ec2.create_security_group(
            GroupName=self._name,
            Description=f"ec2zfs: receivers of pool {self._pool}",
            VpcId=vpc,
            TagSpecifications=[tags.specification("security-group", values)],
        )["GroupId"]

    def _authorize(self, group_id: str, wanted: Ingress) -> None:
        @aws_errors()
        def ask() -> None:
            self._ec2.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[_permission(wanted)])

        try:
            self._patience.settled(ask, _UNKNOWN)
        except CloudError as error:
            if error.code != "InvalidPermission.Duplicate":
                raise

    def _revoke(self, group_id: str, rules: tuple[Ingress, ...]) -> None:
        for each in rules:
            try:
                with aws_errors():
                    self._ec2.revoke_security_group_ingress(GroupId=group_id, IpPermissions=[_permission(each)])
            except CloudError as error:
                if error.code not in {"InvalidPermission.NotFound", _UNKNOWN}:
                    raise


def _rules(group: SecurityGroupTypeDef) -> tuple[Ingress, ...]:
    return tuple(
        Ingress(
            source, permission.get("IpProtocol", "-1"), permission.get("FromPort", -1), permission.get("ToPort", -1)
        )
        for permission in group.get("IpPermissions", [])
        for source in _sources(permission)
    )


def _sources(permission: IpPermissionOutputTypeDef) -> list[str]:
    return [
        *(each.get("CidrIp", "") for each in permission.get("IpRanges", [])),
        *(each.get("CidrIpv6", "") for each in permission.get("Ipv6Ranges", [])),
        *(each.get("GroupId", "") for each in permission.get("UserIdGroupPairs", [])),
        *(each.get("PrefixListId", "") for each in permission.get("PrefixListIds", [])),
    ]


def _permission(told: Ingress) -> IpPermissionTypeDef:
    permission: IpPermissionTypeDef = {"IpProtocol": told.protocol}
    if told.protocol != "-1":
        permission["FromPort"] = told.from_port
        permission["ToPort"] = told.to_port
    if told.source.startswith("sg-"):
        permission["UserIdGroupPairs"] = [{"GroupId": told.source}]
    elif told.source.startswith("pl-"):
        permission["PrefixListIds"] = [{"PrefixListId": told.source}]
    elif ":" in told.source:
        permission["Ipv6Ranges"] = [{"CidrIpv6": told.source}]
    else:
        permission["IpRanges"] = [{"CidrIp": told.source}]
    return permission
