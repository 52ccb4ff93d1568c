import pytest
from mypy_boto3_ec2 import EC2Client
from tests.unit.lab.asking import available, create, launch, refused, running, state, until, volume
from tests.unit.lab.conftest import Serve

from ec2zfs.lab.api.local import LocalEc2
from ec2zfs.lab.api.settings import Times


def test_the_same_token_and_request_give_the_same_volume(local: LocalEc2, ec2: EC2Client) -> None:
    assert create(ec2, ClientToken="one") == create(ec2, ClientToken="one")
    assert len(ec2.describe_volumes()["Volumes"]) == 1


def test_the_same_token_and_request_give_the_same_instance(local: LocalEc2, ec2: EC2Client) -> None:
    assert launch(ec2, ClientToken="one") == launch(ec2, ClientToken="one")
    assert len(ec2.describe_instances()["Reservations"]) == 1


def test_other_tokens_give_other_volumes(local: LocalEc2, ec2: EC2Client) -> None:
    assert create(ec2, ClientToken="one") != create(ec2, ClientToken="two")


def test_a_token_of_one_action_means_nothing_to_another(local: LocalEc2, ec2: EC2Client) -> None:
    create(ec2, ClientToken="one")
    assert launch(ec2, ClientToken="one")


def test_the_answer_shows_the_state_of_now(local: LocalEc2, ec2: EC2Client) -> None:
    made = create(ec2, ClientToken="one")
    until(lambda: volume(ec2, made)["State"] == "available")
    again = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1, VolumeType="gp3", ClientToken="one")
    assert again["State"] == "available"


def test_the_same_token_for_another_request_is_refused(local: LocalEc2, ec2: EC2Client) -> None:
    create(ec2, ClientToken="one", Size=1)
    with refused("IdempotentParameterMismatch", "inconsistent with arguments used in previous"):
        create(ec2, ClientToken="one", Size=2)


def test_the_token_of_a_terminated_instance_is_refused(local: LocalEc2, ec2: EC2Client) -> None:
    made = running(ec2, ClientToken="one")
    ec2.terminate_instances(InstanceIds=[made])
    until(lambda: state(ec2, made) == "terminated")
    with refused("IdempotentInstanceTerminated", "terminated instance"):
        launch(ec2, ClientToken="one")


@pytest.mark.parametrize("volume_delete", [0.0, 60.0], ids=["deleted", "being deleted"])
def test_the_token_of_a_volume_that_is_gone_is_refused(serving: Serve, ec2: EC2Client, volume_delete: float) -> None:
    local = serving(Times(volume_create=0.0, volume_delete=volume_delete))
    ec2.delete_volume(VolumeId=available(ec2, ClientToken="one"))
    if not volume_delete:
        assert local.transitions.settled(5.0)
    with refused("IdempotentParameterMismatch", "already deleted. Please use a different client token"):
        create(ec2, ClientToken="one")


def test_a_refused_request_leaves_its_token_free(local: LocalEc2, ec2: EC2Client) -> None:
    with refused("InvalidParameterValue"):
        create(ec2, ClientToken="one", VolumeType="st1", Size=1)
    assert create(ec2, ClientToken="one")


@pytest.mark.parametrize("token", ["x" * 65, "schlüssel"])
def test_a_token_has_64_ascii_characters(local: LocalEc2, ec2: EC2Client, token: str) -> None:
    with refused("InvalidClientToken"):
        create(ec2, ClientToken=token)
