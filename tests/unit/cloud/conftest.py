"""The local EC2 without machines, one a module, and a pool of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from tests.fakes.local_ec2 import Served, served

_numbers = count(1)


@pytest.fixture(scope="module")
def running_cloud() -> Iterator[Served]:
    with served() as running:
        yield running


@pytest.fixture
def cloud(running_cloud: Served) -> Served:
    running_cloud.local.faults.clear()
    running_cloud.local.calls.reset()
    return running_cloud


@pytest.fixture
def pool() -> str:
    return f"cloud-{next(_numbers)}"
