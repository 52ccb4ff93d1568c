"""What a receiver needs around it: security group, image, type, key pair."""

from __future__ import annotations

import pytest
from botocore.stub import Stubber
from tests.fakes.local_ec2 import HASTY, IMAGE, Served, client

from ec2zfs.cloud.images import find_image
from ec2zfs.cloud.instance_types import instance_type
from ec2zfs.cloud.key_pairs import ensure_key_pair
from ec2zfs.cloud.protocols import Ingress
from ec2zfs.cloud.security_groups import SecurityGroup
from ec2zfs.errors import CloudError, ConfigurationError, CredentialsError, Refused
from ec2zfs.lab.faults import Fault, FaultKind
from ec2zfs.model.instance import InstanceType

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEl0yTHWVgsuGTOnyhzGrzRt4oQk8SfqFzUGVXk7EZgV"
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"


@pytest.fixture
def group(cloud: Served, pool: str) -> SecurityGroup:
    return SecurityGroup(cloud.ec2, pool, patience=HASTY)


def test_a_group_is_made_once_and_open_to_nobody(group: SecurityGroup) -> None:
    assert group.ingress() == ()
    assert group.ensure() == group.ensure()
    assert group.ingress() == ()


def test_a_group_is_opened_for_one_address_and_closed(cloud: Served, group: SecurityGroup) -> None:
    for _ in range(2):
        group.open("198.51.100.7/32", 22)
        assert group.ingress() == (Ingress("198.51.100.7/32", "tcp", 22, 22),)
    assert cloud.local.calls.counts()["AuthorizeSecurityGroupIngress"] == 1
    for _ in range(2):
        group.close()
        assert group.ingress() == ()
    assert cloud.local.calls.counts()["RevokeSecurityGroupIngress"] == 1


@pytest.mark.parametrize(
    ("cidr", "source"),
    [
        ("198.51.100.7", "198.51.100.7/32"),
        ("198.51.100.7/24", "198.51.100.0/24"),
        ("2001:db8::7", "2001:db8::7/128"),
    ],
)
def test_a_range_is_written_as_ec2_writes_it(group: SecurityGroup, cidr: str, source: str) -> None:
    group.open(cidr, 2222)
    assert group.ingress() == (Ingress(source, "tcp", 2222, 2222),)


def test_opening_closes_for_everybody_else(cloud: Served, group: SecurityGroup) -> None:
    group_id = group.ensure()
    cloud.ec2.authorize_security_group_ingress(
        GroupId=group_id,
        IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
            {"IpProtocol": "-1", "Ipv6Ranges": [{"CidrIpv6": "2001:db8::/32"}]},
            {"IpProtocol": "udp", "FromPort": 1, "ToPort": 9, "UserIdGroupPairs": [{"GroupId": group_id}]},
        ],
    )
    assert {rule.source for rule in group.ingress()} == {"0.0.0.0/0", "2001:db8::/32", group_id}
    group.open("198.51.100.7/32", 22)
    assert group.ingress() == (Ingress("198.51.100.7/32", "tcp", 22, 22),)


@pytest.mark.parametrize("cidr", ["0.0.0.0/0", "::/0"])
def test_nothing_is_opened_for_everybody(group: SecurityGroup, cidr: str) -> None:
    with pytest.raises(Refused, match="everybody"):
        group.open(cidr, 22)
    assert group.ingress() == ()


@pytest.mark.parametrize(
    ("action", "code"),
    [("AuthorizeSecurityGroupIngress", "InvalidGroup.NotFound"), ("CreateSecurityGroup", "InternalError")],
)
def test_a_group_may_be_unknown_for_a_moment(cloud: Served, group: SecurityGroup, action: str, code: str) -> None:
    cloud.local.faults.add(Fault(FaultKind.FAIL, action, code=code))
    group.open("198.51.100.7/32", 22)
    assert len(group.ingress()) == 1
    assert cloud.local.calls.counts()[action] == 2


@pytest.mark.parametrize("action", ["CreateSecurityGroup", "AuthorizeSecurityGroupIngress"])
def test_a_lost_answer_changes_nothing(cloud: Served, group: SecurityGroup, action: str) -> None:
    cloud.local.faults.add(Fault(FaultKind.LOSE_ANSWER, action))
    group.open("198.51.100.7/32", 22)
    assert len(group.ingress()) == 1


def test_a_lost_answer_to_closing_changes_nothing(cloud: Served, group: SecurityGroup) -> None:
    group.open("198.51.100.7/32", 22)
    cloud.local.faults.add(Fault(FaultKind.LOSE_ANSWER, "RevokeSecurityGroupIngress"))
    group.close()
    assert group.ingress() == ()


def test_a_strangers_group_of_that_name_is_left_alone(cloud: Served, group: SecurityGroup, pool: str) -> None:
    cloud.ec2.create_security_group(GroupName=f"ec2zfs-{pool}", Description="not ours")
    with pytest.raises(Refused, match=f"does not carry the tags of pool {pool}"):
        group.open("198.51.100.7/32", 22)


def test_the_subnet_tells_the_vpc(cloud: Served, pool: str) -> None:
    vpc = cloud.ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    subnet = cloud.ec2.create_subnet(VpcId=vpc, CidrBlock="10.7.0.0/24")["Subnet"]["SubnetId"]
    group_id = SecurityGroup(cloud.ec2, pool, subnet, HASTY).ensure()
    [described] = cloud.ec2.describe_security_groups(GroupIds=[group_id])["SecurityGroups"]
    assert described["VpcId"] == vpc
    assert SecurityGroup(cloud.ec2, pool, patience=HASTY).ensure() != group_id


def test_a_subnet_that_is_not_there_is_named(cloud: Served, pool: str) -> None:
    with pytest.raises(CloudError, match=r"subnet-0123.*Check receiver.subnet_id"):
        SecurityGroup(cloud.ec2, pool, "subnet-0123").ensure()


def test_without_a_default_vpc_the_subnet_is_asked_for() -> None:
    with Stubber(client()) as stub:
        stub.add_response("describe_vpcs", {"Vpcs": []}, {"Filters": [{"Name": "is-default", "Values": ["true"]}]})
        with pytest.raises(CloudError, match=r"no default VPC.*receiver.subnet_id"):
            SecurityGroup(client(), "cloud").ensure()


@pytest.mark.parametrize("wanted", [IMAGE, "ec2zfs-receiver", "ec2zfs-*"])
def test_an_image_is_found_by_id_or_name(cloud: Served, wanted: str) -> None:
    image = find_image(cloud.ec2, wanted)
    assert (image.id, image.name, image.architecture) == (IMAGE, "ec2zfs-receiver", "x86_64")
    assert image.root_device.startswith("/dev/")


def test_a_name_is_looked_up_among_our_own_images_and_the_newest_is_taken() -> None:
    found = [
        {"ImageId": "ami-1", "State": "available", "CreationDate": "2026-11-01T00:00:00.000Z"},
        {"ImageId": "ami-2", "State": "available", "CreationDate": "2026-11-03T00:00:00.000Z"},
        {"ImageId": "ami-3", "State": "available", "CreationDate": "2026-11-02T00:00:00.000Z"},
        {"ImageId": "ami-4", "State": "pending", "CreationDate": "2026-11-04T00:00:00.000Z"},
    ]
    with Stubber(client()) as stub:
        asked = {"Owners": ["self"], "Filters": [{"Name": "name", "Values": ["receiver-*"]}]}
        stub.add_response("describe_images", {"Images": found}, asked)
        assert find_image(client(), "receiver-*").id == "ami-2"


@pytest.mark.parametrize("wanted", ["ami-0123456789abcdef0", "debian-12-*"])
def test_an_image_that_is_not_there_is_named(cloud: Served, wanted: str) -> None:
    with pytest.raises(CloudError, match=r"Check receiver.image") as caught:
        find_image(cloud.ec2, wanted)
    assert wanted in str(caught.value)
    assert "us-east-1" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("m7a.medium", InstanceType("m7a.medium", 4096, 32, False, "x86_64")),
        ("t4g.medium", InstanceType("t4g.medium", 4096, 27, True, "arm64")),
        ("t3.small", InstanceType("t3.small", 2048, 27, True, "x86_64")),
    ],
)
def test_an_instance_type_tells_memory_and_attachments(cloud: Served, name: str, expected: InstanceType) -> None:
    assert instance_type(cloud.ec2, name) == expected


@pytest.mark.parametrize(
    ("name", "words"), [("m7x.medium", "knows no instance type m7x.medium"), ("m4.large", "older than Nitro")]
)
def test_a_type_that_cannot_be_is_refused(cloud: Served, name: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        instance_type(cloud.ec2, name)


def test_a_type_that_ec2_does_not_tell_of_now_is_no_matter_of_configuration(cloud: Served) -> None:
    cloud.local.faults.add(Fault(FaultKind.FAIL, "DescribeInstanceTypes", code="UnsupportedOperation"))
    with pytest.raises(CloudError, match="UnsupportedOperation"):
        instance_type(cloud.ec2, "m7a.medium")


def test_a_type_that_may_not_be_looked_at_is_a_matter_of_credentials(cloud: Served) -> None:
    cloud.local.faults.add(Fault(FaultKind.FAIL, "DescribeInstanceTypes", code="UnauthorizedOperation"))
    with pytest.raises(CredentialsError, match="ec2:DescribeInstanceTypes"):
        instance_type(cloud.ec2, "m7a.medium")


def test_a_key_is_imported_once_under_a_name_of_its_own(cloud: Served, pool: str) -> None:
    name = ensure_key_pair(cloud.ec2, pool, KEY)
    assert ensure_key_pair(cloud.ec2, pool, f"{KEY} root@nas\n") == name
    assert ensure_key_pair(cloud.ec2, pool, OTHER_KEY) != name
    assert len(cloud.ec2.describe_key_pairs()["KeyPairs"]) == 2
