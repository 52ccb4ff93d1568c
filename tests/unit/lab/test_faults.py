"""Failures on demand: the store, and what a client of the API sees of them."""

from __future__ import annotations

import threading
import time

import pytest
from mypy_boto3_ec2 import EC2Client
from mypy_boto3_s3 import S3Client
from mypy_boto3_sts import STSClient
from tests.unit.lab.asking import create, refused

from ec2zfs.lab.api.local import LocalEc2
from ec2zfs.lab.faults import Fault, FaultKind, Faults, error_answer

FAIL = FaultKind.FAIL


def strikes(faults: Faults, *targets: str) -> list[str]:
    """For every target in turn: the code of the fault that meets it, or a dash."""
    return [fault.code if (fault := faults.strike(FAIL, target)) else "-" for target in targets]


@pytest.mark.parametrize(
    ("waiting", "targets", "met"),
    [
        ([Fault(FAIL, "A", "x")], "AA", "x-"),
        ([Fault(FAIL, "A", "x", times=2)], "AAA", "xx-"),
        ([Fault(FAIL, "A", "x", times=None)], "AAA", "xxx"),
        ([Fault(FAIL, "A", "x", skip=2)], "AAAA", "--x-"),
        ([Fault(FAIL, "A", "x")], "BA", "-x"),
        ([Fault(FAIL, "*", "x")], "BA", "x-"),
        ([Fault(FAIL, "A", "x"), Fault(FAIL, "A", "y")], "AAA", "xy-"),
        ([Fault(FAIL, "B", "x"), Fault(FAIL, "A", "y")], "AB", "yx"),
        ([Fault(FaultKind.DELAY, "A", "x")], "A", "-"),
        ([Fault(FAIL, "A", "x", times=None, share=0.3)], "A" * 14, "---x--x--x---x"),
        ([Fault(FAIL, "A", "x", times=None, share=0.5)], "ABABAB", "--x---"),
        ([Fault(FAIL, "A", "x", times=2, share=0.5)], "AAAAAA", "-x-x--"),
        ([Fault(FAIL, "A", "x", skip=1, share=0.5)], "AAAA", "--x-"),
        ([Fault(FAIL, "A", "x", share=0.5), Fault(FAIL, "A", "y")], "AAA", "yx-"),
    ],
)
def test_a_fault_strikes(waiting: list[Fault], targets: str, met: str) -> None:
    faults = Faults()
    for fault in waiting:
        faults.add(fault)
    assert "".join(strikes(faults, *targets)) == met


def test_faults_can_be_taken_back() -> None:
    faults = Faults()
    faults.add(Fault(FAIL, "A", times=None))
    faults.clear()
    assert faults.waiting() == ()
    assert strikes(faults, "A") == ["-"]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("RequestLimitExceeded", 503),
        ("InsufficientInstanceCapacity", 500),
        ("UnauthorizedOperation", 403),
        ("AuthFailure", 401),
        ("RequestExpired", 400),
        ("InvalidVolume.NotFound", 400),
    ],
)
def test_a_code_has_its_status(code: str, status: int) -> None:
    assert error_answer(code, "ec2:CreateVolume").status == status


def test_throttling_at_a_share_of_the_calls(local: LocalEc2, ec2: EC2Client) -> None:
    local.faults.add(Fault(FAIL, "*", "RequestLimitExceeded", times=None, share=0.3))
    for call in range(1, 11):
        if call in (4, 7, 10):
            with refused("RequestLimitExceeded"):
                ec2.describe_volumes()
        else:
            ec2.describe_volumes()


def test_ec2_names_the_action_that_is_not_allowed(local: LocalEc2, ec2: EC2Client) -> None:
    local.faults.add(Fault(FAIL, "CreateVolume", "UnauthorizedOperation"))
    with refused("UnauthorizedOperation", "perform: ec2:CreateVolume because"):
        create(ec2)
    assert create(ec2)


def test_every_service_says_it_in_its_way(local: LocalEc2, ec2: EC2Client, s3: S3Client, sts: STSClient) -> None:
    local.faults.add(Fault(FAIL, code="ExpiredToken", times=None))
    with refused("ExpiredToken"):
        ec2.describe_volumes()
    with refused("ExpiredToken"):
        s3.list_buckets()
    with refused("ExpiredToken"):
        sts.get_caller_identity()


def test_a_lost_answer_has_taken_effect(local: LocalEc2, ec2: EC2Client) -> None:
    local.faults.add(Fault(FaultKind.LOSE_ANSWER, "CreateVolume"))
    with refused("InternalError"):
        create(ec2, ClientToken="one")
    assert len(ec2.describe_volumes()["Volumes"]) == 1
    create(ec2, ClientToken="one")
    assert len(ec2.describe_volumes()["Volumes"]) == 1


def test_a_refused_call_has_not(local: LocalEc2, ec2: EC2Client) -> None:
    local.faults.add(Fault(FAIL, "CreateVolume"))
    with refused("InternalError"):
        create(ec2)
    assert ec2.describe_volumes()["Volumes"] == []


def test_a_delayed_call_waits(local: LocalEc2, ec2: EC2Client) -> None:
    local.faults.add(Fault(FaultKind.DELAY, "DescribeVolumes", seconds=0.3))
    began = time.monotonic()
    ec2.describe_volumes()
    assert time.monotonic() - began > 0.3


def test_a_delayed_call_goes_on_when_the_faults_are_taken_back(local: LocalEc2, ec2: EC2Client) -> None:
    local.faults.add(Fault(FaultKind.DELAY, "DescribeVolumes", seconds=60.0))
    call = threading.Thread(target=ec2.describe_volumes)
    call.start()
    while local.faults.waiting():
        time.sleep(0.01)
    local.faults.clear()
    call.join(30.0)
    assert not call.is_alive()


def test_calls_are_counted(local: LocalEc2, ec2: EC2Client, s3: S3Client) -> None:
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="a/b", Body=b"c")
    local.faults.add(Fault(FAIL, "CreateVolume", "RequestLimitExceeded"))
    with refused("RequestLimitExceeded"):
        create(ec2)
    create(ec2)
    assert local.calls.counts() == {"CreateBucket": 1, "PutObject": 1, "CreateVolume": 2}
    log = [(call.service, call.action, call.status, call.error) for call in local.calls.log()]
    assert log[2:] == [("ec2", "CreateVolume", 503, "RequestLimitExceeded"), ("ec2", "CreateVolume", 200, "")]
    local.calls.reset()
    assert local.calls.counts() == {}
