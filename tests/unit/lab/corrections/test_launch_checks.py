"""The corrections `launch_checks`, `images`, `addresses` and `console`."""

import ipaddress

from mypy_boto3_ec2 import EC2Client
from tests.unit.lab.asking import describe, launch, refused, running, state, until
from tests.unit.lab.conftest import Serve

from ec2zfs.lab.api.local import LocalEc2
from ec2zfs.lab.api.room import NoMachines


def test_an_unknown_image_is_refused(local: LocalEc2, ec2: EC2Client) -> None:
    with refused("InvalidAMIID.NotFound"):
        launch(ec2, ImageId="ami-0123456789abcdef0")


def test_an_unknown_key_pair_is_refused(local: LocalEc2, ec2: EC2Client) -> None:
    with refused("InvalidKeyPair.NotFound"):
        launch(ec2, KeyName="nobody")


def test_an_unknown_type_is_refused(local: LocalEc2, ec2: EC2Client) -> None:
    with refused("InvalidParameterValue", "m7a.tiny"):
        launch(ec2, InstanceType="m7a.tiny")


def test_a_type_of_another_processor_is_refused(local: LocalEc2, ec2: EC2Client) -> None:
    with refused("InvalidParameterValue", "arm64"):
        launch(ec2, InstanceType="m8g.medium")


def test_a_refused_launch_leaves_nothing(local: LocalEc2, ec2: EC2Client) -> None:
    with refused("InvalidParameterValue"):
        launch(ec2, InstanceType="m8g.medium")
    assert ec2.describe_instances()["Reservations"] == []
    assert ec2.describe_volumes()["Volumes"] == []


def test_data_volumes_at_launch_are_refused(local: LocalEc2, ec2: EC2Client) -> None:
    with refused("UnsupportedOperation"):
        launch(ec2, BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1}}])


def test_the_root_volume_goes_with_its_instance(local: LocalEc2, ec2: EC2Client) -> None:
    wish = [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 12, "VolumeType": "gp3"}}]
    mapping = describe(ec2, running(ec2, BlockDeviceMappings=wish))["BlockDeviceMappings"][0]["Ebs"]
    assert mapping["DeleteOnTermination"] is True


def test_our_images_are_all_there_is(local: LocalEc2, ec2: EC2Client) -> None:
    images = ec2.describe_images()["Images"]
    assert [(image["Name"], image["Architecture"]) for image in images] == [("ec2zfs-receiver", "x86_64")]


def test_public_addresses_are_loopback_ones_and_new_at_every_start(local: LocalEc2, ec2: EC2Client) -> None:
    instance = running(ec2)
    first = describe(ec2, instance)["PublicIpAddress"]
    ec2.stop_instances(InstanceIds=[instance])
    until(lambda: state(ec2, instance) == "stopped")
    assert "PublicIpAddress" not in describe(ec2, instance)
    ec2.start_instances(InstanceIds=[instance])
    second = describe(ec2, instance)["PublicIpAddress"]
    assert ipaddress.ip_address(first).is_loopback
    assert ipaddress.ip_address(second).is_loopback
    assert first != second


def test_the_console_shows_the_last_64_kib(serving: Serve, ec2: EC2Client) -> None:
    serving(room=NoMachines(printed="x" * 70_000 + "the end"))
    shown = ec2.get_console_output(InstanceId=running(ec2), Latest=True)["Output"]
    assert len(shown) == 64 * 1024
    assert shown.endswith("the end")


def test_a_silent_console_has_no_output(local: LocalEc2, ec2: EC2Client) -> None:
    assert "Output" not in ec2.get_console_output(InstanceId=running(ec2))
