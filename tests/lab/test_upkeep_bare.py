"""The life of a pool without encryption: its members are the bare volumes, by paths that last."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest
from tests.lab.machines import until
from tests.lab.upkeep import Operator, a_pool

from ec2zfs.lab.description import LabDescription
from ec2zfs.plan.growth import Strategy, plan_growth
from ec2zfs.plan.replacement import Caution, Want

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

MIRROR = {
    'redundancy = "raidz1"': 'redundancy = "mirror"\nencryption = false',
    "vdevs = 2": "vdevs = 1",
    "volumes_per_vdev = 3": "volumes_per_vdev = 2",
}


@pytest.fixture(scope="module")
def operator(lab: LabDescription, ec2: EC2Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """Has a mirror of two bare volumes that is open, with data in it and a writer at work."""
    with a_pool(lab, ec2, tmp_path_factory.mktemp("bare"), "bare", MIRROR) as operator:
        yield operator


def test_it_grows_by_replacement_and_what_is_pulled_out_comes_back(operator: Operator, ec2: EC2Client) -> None:
    want, caution = Want(2, "gp3", "us-east-1a"), Caution(timedelta(days=7))
    foreseen = operator.foresees(partial(plan_growth, want, Strategy.REPLACEMENT, caution))
    operator.is_killed("pool grow --size 2 --by replacement", lambda: operator.sees("replacing-"))
    operator.types("pool grow --size 2 --by replacement")
    assert operator.observes() == foreseen
    assert len(operator.current(2)) == 2
    operator.require_data()

    pulled = operator.at(1, 2)
    ec2.detach_volume(VolumeId=pulled, Force=True)
    until(lambda: any(operator.sees(word) for word in ("FAULTED", "REMOVED", "UNAVAIL")))
    operator.types("pool repair")
    assert operator.at(1, 2) == pulled
    assert operator.observes() == foreseen
    operator.require_data()
