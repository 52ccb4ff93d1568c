"""States that cannot be had on demand: what EC2 says when a start fails, and what is waited for nevertheless."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from botocore.stub import Stubber
from tests.fakes.local_ec2 import HASTY, client

from ec2zfs.cloud.instance_request import run_request
from ec2zfs.cloud.instances import Instances
from ec2zfs.cloud.protocols import Image, InstanceOrder
from ec2zfs.errors import CloudError, Ec2zfsError, NoCapacity
from ec2zfs.model.instance import InstanceState, Market

NOW = datetime(2026, 11, 23, 2, 17, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=1)
IMAGE = Image("ami-1", "receiver", "x86_64", "/dev/xvda", root_gib=8)
ORDER = InstanceOrder(IMAGE, "m7a.medium", Market.ON_DEMAND, "us-east-1a", "key", "sg-1")


class Told:
    """What each look at the one instance shows, in this order."""

    def __init__(self) -> None:
        self.stub = Stubber(client())
        self.instances = Instances(client(), "cloud", HASTY)

    def runs(self, attempt: int, instance_id: str, launched: datetime = NOW) -> None:
        headers = {"date": format_datetime(NOW, usegmt=True)}
        answer = {
            "Instances": [described("pending", instance_id, launched)],
            "ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": headers},
        }
        self.stub.add_response("run_instances", answer, dict(run_request(ORDER, "cloud", attempt)))

    def refuses(self, attempt: int, code: str = "IdempotentParameterMismatch") -> None:
        asked = dict(run_request(ORDER, "cloud", attempt))
        self.stub.add_client_error("run_instances", code, expected_params=asked)

    def shows(self, state: str, code: str = "", instance_id: str = "i-1") -> None:
        reason = {"StateReason": {"Code": code, "Message": "Because"}} if code else {}
        self.stub.add_response(
            "describe_instances", {"Reservations": [{"Instances": [described(state, instance_id) | reason]}]}
        )

    def shows_nothing(self) -> None:
        self.stub.add_response("describe_instances", {"Reservations": []})


def described(state: str, instance_id: str = "i-1", launched: datetime = NOW) -> dict[str, Any]:
    return {
        "InstanceId": instance_id,
        "InstanceType": "m7a.medium",
        "State": {"Name": state},
        "LaunchTime": launched,
    }


@pytest.fixture
def told() -> Iterator[Told]:
    telling = Told()
    with telling.stub:
        yield telling
        telling.stub.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("state", "code", "kind"),
    [
        ("shutting-down", "Server.InsufficientInstanceCapacity", NoCapacity),
        ("terminated", "Server.SpotInstanceTermination", NoCapacity),
        ("terminated", "Client.InternalError", CloudError),
        ("terminated", "Client.VolumeLimitExceeded", CloudError),
        ("terminated", "", CloudError),
        ("stopped", "Server.InternalError", CloudError),
        ("stopping", "Server.InsufficientInstanceCapacity", NoCapacity),
    ],
)
def test_a_start_that_fails_gives_its_reason(told: Told, state: str, code: str, kind: type[Ec2zfsError]) -> None:
    told.shows("pending")
    told.shows(state, code)
    with pytest.raises(kind) as caught:
        told.instances.await_state("i-1", InstanceState.RUNNING, 60)
    assert type(caught.value) is kind
    assert f"instance i-1 is {state}" in str(caught.value)
    assert code.partition(".")[2] in str(caught.value)


def test_a_start_may_be_seen_late(told: Told) -> None:
    told.shows_nothing()
    told.shows("stopped")
    told.shows("pending")
    told.shows("running")
    assert told.instances.await_state("i-1", InstanceState.RUNNING, 60).state is InstanceState.RUNNING


def test_an_end_is_waited_for_through_its_states(told: Told) -> None:
    told.shows("running")
    told.shows("shutting-down", "Client.UserInitiatedShutdown")
    told.shows("terminated", "Client.UserInitiatedShutdown")
    assert told.instances.await_state("i-1", InstanceState.TERMINATED, 60).state is InstanceState.TERMINATED


def test_a_new_instance_needs_no_second_look(told: Told) -> None:
    told.runs(0, "i-1")
    assert told.instances.run(ORDER).id == "i-1"


def test_an_instance_of_an_earlier_call_is_looked_at(told: Told) -> None:
    told.runs(0, "i-1", LONG_AGO)
    told.shows("stopped")
    assert told.instances.run(ORDER).state is InstanceState.STOPPED


@pytest.mark.parametrize("state", ["shutting-down", "terminated", None])
def test_one_that_has_ended_since_leads_to_the_next_attempt(told: Told, state: str | None) -> None:
    told.runs(0, "i-1", LONG_AGO)
    if state:
        told.shows(state)
    else:
        told.shows_nothing()
    told.runs(1, "i-2")
    assert told.instances.run(ORDER).id == "i-2"


def test_a_token_of_another_order_leads_to_the_one_that_stands(told: Told) -> None:
    told.refuses(0)
    told.shows("shutting-down")
    told.shows("pending", instance_id="i-2")
    assert told.instances.run(ORDER).id == "i-2"


def test_a_token_of_another_order_that_has_ended_leads_to_the_next_attempt(told: Told) -> None:
    told.instances = Instances(client(), "cloud", replace(HASTY, settle_seconds=0))
    told.refuses(0)
    told.shows("shutting-down")
    told.runs(1, "i-2")
    assert told.instances.run(ORDER).id == "i-2"


def test_a_token_whose_instance_is_terminated_leads_to_the_next_attempt_at_once(told: Told) -> None:
    told.refuses(0, "IdempotentInstanceTerminated")
    told.refuses(1, "IdempotentInstanceTerminated")
    told.runs(2, "i-3")
    assert told.instances.run(ORDER).id == "i-3"
