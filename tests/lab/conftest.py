"""A lab of its own for the tests in this folder: real machines, so these tests take minutes under emulation."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from tests.lab.zfs_ends import NO_POOLS, POOLS, Ends, reached

from ec2zfs.lab.client import LabClient
from ec2zfs.lab.daemon import Options
from ec2zfs.lab.description import LabDescription
from ec2zfs.lab.image.build import build
from ec2zfs.lab.image.recipe import recipe
from ec2zfs.lab.laboratory import down, up
from ec2zfs.lab.paths import cache_directory

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

HERE = Path(__file__).parent
PATIENCE = 1800


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test waits for the image and the lab."""
    for item in items:
        if HERE in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(PATIENCE))


@pytest.fixture(scope="session")
def image() -> None:
    """The machines' image, built when the cache lacks it."""
    build(recipe(), cache_directory(), print)


@pytest.fixture
def empty_directory(image: None) -> Iterator[Path]:
    """A directory for a lab of the test's own; whatever is in it is taken down."""
    directory = Path(tempfile.mkdtemp(prefix="ec2zfs-test-", dir="/var/tmp"))
    yield directory
    down(directory)


@pytest.fixture(scope="session")
def lab(image: None) -> Iterator[LabDescription]:
    """A lab that is up, with its site, in a fresh directory; taken down at the end."""
    directory = Path(tempfile.mkdtemp(prefix="ec2zfs-test-", dir="/var/tmp"))
    try:
        yield up(directory, Options(owner_pid=os.getpid()), print)
    finally:
        down(directory)


@pytest.fixture(scope="session")
def client(lab: LabDescription) -> LabClient:
    """Asks the lab, and orders its faults."""
    return LabClient(lab.endpoint)


@pytest.fixture(scope="session")
def ec2(lab: LabDescription) -> EC2Client:
    """The EC2 API of the lab, by boto3."""
    return boto3.client(
        "ec2",
        region_name=lab.region,
        endpoint_url=lab.endpoint,
        aws_access_key_id="AKIALOCALEC2EXAMPLE0",
        aws_secret_access_key="x",
    )


@pytest.fixture(scope="module")
def ends(lab: LabDescription, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ends]:
    """Two pools of the test file's own on the site's machine, reached over ssh as two hosts."""
    sockets = tmp_path_factory.mktemp("ssh")
    with reached("site", lab, sockets) as site, reached("receiver", lab, sockets) as receiver:
        both = Ends(site, receiver)
        both.sh(POOLS)
        yield both
        both.sh(NO_POOLS)


@pytest.fixture(autouse=True)
def no_fault_outlives_its_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test ordered of the lab, and did not meet, is not met by the next one."""
    client = request.getfixturevalue("client") if "lab" in request.fixturenames else None
    yield
    if client is not None:
        client.clear_faults()
