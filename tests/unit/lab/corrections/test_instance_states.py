from functools import partial

import pytest
from mypy_boto3_ec2 import EC2Client
from tests.unit.lab.asking import attach, available, describe, launch, refused, running, state, until, volume
from tests.unit.lab.conftest import Serve

from ec2zfs.lab.api.local import LocalEc2
from ec2zfs.lab.api.room import NoMachines
from ec2zfs.lab.api.settings import Times


def test_a_new_instance_is_pending_until_its_machine_is_up(serving: Serve, ec2: EC2Client) -> None:
    serving(Times(instance_start=60))
    assert state(ec2, launch(ec2)) == "pending"


def test_it_comes_to_run(local: LocalEc2, ec2: EC2Client) -> None:
    running(ec2)


def test_it_stops_and_starts_again(local: LocalEc2, ec2: EC2Client) -> None:
    instance = running(ec2)
    assert ec2.stop_instances(InstanceIds=[instance])["StoppingInstances"][0]["CurrentState"]["Name"] == "stopping"
    until(lambda: state(ec2, instance) == "stopped")
    assert ec2.start_instances(InstanceIds=[instance])["StartingInstances"][0]["CurrentState"]["Name"] == "pending"
    until(lambda: state(ec2, instance) == "running")


def test_it_is_terminated(local: LocalEc2, ec2: EC2Client) -> None:
    instance = running(ec2)
    changes = ec2.terminate_instances(InstanceIds=[instance])["TerminatingInstances"][0]
    assert (changes["PreviousState"]["Name"], changes["CurrentState"]["Name"]) == ("running", "shutting-down")
    until(lambda: state(ec2, instance) == "terminated")


def test_a_pending_instance_can_be_terminated(serving: Serve, ec2: EC2Client) -> None:
    serving(Times(instance_start=0.2))
    instance = launch(ec2)
    ec2.terminate_instances(InstanceIds=[instance])
    until(lambda: state(ec2, instance) == "terminated")


@pytest.mark.parametrize(
    ("action", "times"),
    [("stop", Times(instance_start=60)), ("reboot", Times(instance_start=60)), ("start", Times(instance_stop=60))],
)
def test_what_its_state_forbids_is_refused(serving: Serve, ec2: EC2Client, action: str, times: Times) -> None:
    serving(times)
    instance = launch(ec2)
    if action == "start":
        until(lambda: state(ec2, instance) == "running")
        ec2.stop_instances(InstanceIds=[instance])
    with refused("IncorrectInstanceState"):
        getattr(ec2, f"{action}_instances")(InstanceIds=[instance])


def test_an_unknown_instance_is_not_found(local: LocalEc2, ec2: EC2Client) -> None:
    with refused("InvalidInstanceID.NotFound"):
        ec2.stop_instances(InstanceIds=["i-0123456789abcdef0"])


def test_volumes_attached_later_outlive_their_instance(local: LocalEc2, ec2: EC2Client) -> None:
    instance, data = running(ec2), available(ec2)
    root = describe(ec2, instance)["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    attach(ec2, data, instance)
    ec2.terminate_instances(InstanceIds=[instance])
    until(lambda: state(ec2, instance) == "terminated")
    assert volume(ec2, data)["State"] == "available"
    with refused("InvalidVolume.NotFound"):
        volume(ec2, root)


@pytest.mark.parametrize(("behaviour", "end"), [("stop", "stopped"), ("terminate", "terminated")])
def test_a_guest_that_powers_itself_off_ends_as_it_was_told(
    serving: Serve, ec2: EC2Client, behaviour: str, end: str
) -> None:
    room = NoMachines()
    serving(room=room)
    instance = running(ec2, InstanceInitiatedShutdownBehavior=behaviour)
    room.kill(instance)
    until(lambda: state(ec2, instance) == end)
    assert describe(ec2, instance)["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"


def test_a_machine_that_does_not_start_is_terminated(serving: Serve, ec2: EC2Client) -> None:
    class Broken(NoMachines):
        def start(self, *_: object, **__: object) -> None:
            raise OSError("no memory")

    serving(room=Broken())
    instance = launch(ec2)
    until(lambda: state(ec2, instance) == "terminated")
    assert describe(ec2, instance)["StateReason"]["Code"] == "Server.InternalError"


def test_the_room_hears_every_order(serving: Serve, ec2: EC2Client) -> None:
    room = _Listening()
    serving(room=room)
    instance = running(ec2)
    ec2.reboot_instances(InstanceIds=[instance])
    until(lambda: "reboot" in room.heard)
    ec2.stop_instances(InstanceIds=[instance])
    until(lambda: state(ec2, instance) == "stopped")
    ec2.start_instances(InstanceIds=[instance])
    until(lambda: state(ec2, instance) == "running")
    ec2.terminate_instances(InstanceIds=[instance])
    until(lambda: state(ec2, instance) == "terminated")
    assert room.heard == ["start fresh", "reboot", "stop", "start again", "discard"]


class _Listening(NoMachines):
    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []
        for order in ("stop", "reboot", "discard"):
            setattr(self, order, partial(self._hear, order))

    def _hear(self, order: str, *_: object) -> None:
        self.heard.append(order)

    def start(self, order: object, *, fresh: bool) -> None:
        self.heard.append("start fresh" if fresh else "start again")
