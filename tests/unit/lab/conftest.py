"""A local EC2 without machines, and clients of it; the port stays the same, so that they can. Impostors of QEMU."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from ec2zfs.lab.api.local import LocalEc2
from ec2zfs.lab.api.room import MachineRoom
from ec2zfs.lab.api.server import serve
from ec2zfs.lab.api.settings import MIB, Settings, Times

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sts import STSClient

FAST = Times.uniform(0.01)
Serve = Callable[..., LocalEc2]
Impostor = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture(scope="session")
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found


@pytest.fixture
def serving(port: int) -> Iterator[Serve]:
    """Serve with other times or another room than usual: `serving(Times(attach=60))`."""
    with ExitStack() as stack:

        def begin(times: Times = FAST, room: MachineRoom | None = None, object_bytes: int = 256 * MIB) -> LocalEc2:
            return stack.enter_context(serve(Settings(times=times, object_bytes=object_bytes), room, port))

        yield begin


@pytest.fixture
def impostor() -> Iterator[Impostor]:
    """Processes that wait under QEMU's name, with words in their command line as it has them."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*words: str, name: str = "qemu-system-x86_64") -> subprocess.Popen[bytes]:
        argv = [name, "-c", "read line", *words]
        started.append(subprocess.Popen(argv, executable="/bin/sh", stdin=subprocess.PIPE))
        until_executed(started[-1].pid, b"read line")
        return started[-1]

    yield start
    for child in started:
        child.kill()
        child.communicate()


def until_executed(pid: int, word: bytes) -> None:
    while word not in Path(f"/proc/{pid}/cmdline").read_bytes():
        time.sleep(0.005)


@pytest.fixture
def local(serving: Serve) -> LocalEc2:
    return serving()


def _asked(port: int) -> dict[str, Any]:
    return {
        "region_name": "us-east-1",
        "endpoint_url": f"http://127.0.0.1:{port}",
        "aws_access_key_id": "AKIALOCALEC2EXAMPLE0",
        "aws_secret_access_key": "x",
        "config": Config(retries={"total_max_attempts": 1}, proxies={}),
    }


@pytest.fixture(scope="session")
def ec2(port: int) -> EC2Client:
    return boto3.client("ec2", **_asked(port))


@pytest.fixture(scope="session")
def s3(port: int) -> S3Client:
    return boto3.client("s3", **_asked(port))


@pytest.fixture(scope="session")
def sts(port: int) -> STSClient:
    return boto3.client("sts", **_asked(port))
