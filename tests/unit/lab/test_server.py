"""Serving, changes of state, and the facts that the metadata service tells."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from moto.ec2.models.elastic_block_store import Volume
from moto.ec2.responses import EC2Response
from mypy_boto3_ec2 import EC2Client
from tests.unit.lab.asking import create, running
from tests.unit.lab.conftest import Serve

from ec2zfs.lab.api.facts import instance_facts
from ec2zfs.lab.api.local import LocalEc2
from ec2zfs.lab.api.server import serve
from ec2zfs.lab.api.settings import Settings
from ec2zfs.lab.api.transitions import Transitions

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPbTcHZfJuPXiVF5XbhY6ZQC0WJd8Ck+hB6vbxGdCPzP"


def test_only_one_is_served_at_a_time(local: LocalEc2) -> None:
    with pytest.raises(RuntimeError, match="already"), serve():
        pass


def test_nothing_stays_behind(serving: Serve, ec2: EC2Client) -> None:
    before = dict(vars(EC2Response)), vars(Volume)["status"]
    with serve(Settings()) as local:
        assert dict(vars(EC2Response)) != before[0]
        assert local.endpoint.startswith("http://127.0.0.1:")
    assert (dict(vars(EC2Response)), vars(Volume)["status"]) == before
    assert not [thread for thread in threading.enumerate() if "EC2" in thread.name]
    serving()
    assert ec2.describe_volumes()["Volumes"] == []


def test_calls_at_the_same_time_all_count(local: LocalEc2, ec2: EC2Client) -> None:
    threads = [threading.Thread(target=create, args=(ec2,), kwargs={"ClientToken": "one"}) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ec2.describe_volumes()["Volumes"]) == 1


def test_an_instance_is_told_its_key_and_user_data(local: LocalEc2, ec2: EC2Client) -> None:
    ec2.import_key_pair(KeyName="lab", PublicKeyMaterial=KEY.encode())
    instance = running(ec2, KeyName="lab", UserData="#!/bin/sh\ntrue\n")
    facts = instance_facts(local, instance)
    assert (facts.instance_id, facts.zone, facts.key_name) == (instance, "us-east-1a", "lab")
    assert (facts.public_key, facts.user_data) == (KEY, "#!/bin/sh\ntrue\n")


def test_work_of_one_owner_is_done_in_order() -> None:
    transitions, done = Transitions(), []
    transitions.after(0.05, "a", lambda: done.append(1))
    transitions.after(0.0, "a", lambda: done.append(2))
    assert transitions.settled(5.0)
    assert done == [1, 2]


def test_other_owners_do_not_wait() -> None:
    transitions, done = Transitions(), threading.Event()
    transitions.after(60.0, "a", lambda: None)
    transitions.after(0.0, "b", done.set)
    assert done.wait(5.0)
    transitions.close()


def test_after_the_end_nothing_happens() -> None:
    transitions, done = Transitions(), []
    transitions.after(60.0, "a", lambda: done.append(1))
    transitions.close()
    transitions.after(0.0, "b", lambda: done.append(2))
    assert done == []


def test_failing_work_does_not_stop_the_next(caplog: pytest.LogCaptureFixture) -> None:
    transitions, done = Transitions(), []
    impossible: Any = None
    transitions.after(0.0, "a", impossible)
    transitions.after(0.0, "a", lambda: done.append(2))
    assert transitions.settled(5.0)
    assert done == [2]
    assert "The change of state of a failed" in caplog.text
