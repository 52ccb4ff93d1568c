"""The local EC2 without machines, for tests of `cloud/`, and the one client of it that they share.

The client takes a third of a second to make, so it stays; the port stays too, so that the client can. Every server
forgets all that was made in it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING
from unittest.mock import patch

from ec2zfs.cloud.patience import Patience
from ec2zfs.cloud.session import Aws

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

    from ec2zfs.lab.api.local import LocalEc2

REGION = "us-east-1"
ZONE = "us-east-1a"
OTHER_ZONE = "us-east-1b"
IMAGE = "ami-0ec2f5000000000a1"
HASTY = Patience(poll_seconds=0.02, settle_seconds=0.5)
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIALOCALEC2EXAMPLE0",
    "AWS_SECRET_ACCESS_KEY": "x",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}


@dataclass(frozen=True)
class Served:
    """A running local EC2, and our client of it."""

    local: LocalEc2
    ec2: EC2Client


@contextmanager
def served(*, state_seconds: float = 0.01, call_seconds: float = 0.0) -> Iterator[Served]:
    """Serve until the block ends. Changes of state take `state_seconds`, and each call `call_seconds`."""
    from ec2zfs.lab.api.server import serve
    from ec2zfs.lab.api.settings import Settings, Times

    settings = Settings(region=REGION, times=Times.uniform(state_seconds), call_seconds=call_seconds)
    with serve(settings, port=_port()) as local:
        yield Served(local, client())


def launched(ec2: EC2Client, zone: str = ZONE, kind: str = "m7a.medium") -> str:
    """The id of a new instance that runs."""
    placement = {"AvailabilityZone": zone}
    answer = ec2.run_instances(ImageId=IMAGE, InstanceType=kind, MinCount=1, MaxCount=1, Placement=placement)  # type: ignore[arg-type]
    instance_id = answer["Instances"][0]["InstanceId"]
    ec2.get_waiter("instance_running").wait(InstanceIds=[instance_id], WaiterConfig={"Delay": 0, "MaxAttempts": 200})
    return instance_id


@cache
def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@cache
def client() -> EC2Client:
    """The one client; a test may also put a botocore `Stubber` on it for its time."""
    with patch.dict(os.environ, CREDENTIALS):
        return Aws(REGION, endpoint_url=f"http://127.0.0.1:{_port()}").ec2()
