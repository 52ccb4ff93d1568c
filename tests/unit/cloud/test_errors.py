"""What boto3 raises, and what the operator reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from botocore import exceptions as boto
from botocore.exceptions import BotoCoreError, ClientError
from tests.fakes.local_ec2 import Served

from ec2zfs.cloud.errors import aws_errors
from ec2zfs.cloud.volumes import Volumes
from ec2zfs.errors import (
    CloudError,
    ConfigurationError,
    CredentialsError,
    Ec2zfsError,
    ExitCode,
    ModificationTooSoon,
    NoCapacity,
)
from ec2zfs.lab.faults import Fault, FaultKind

NO_RIGHT_TO_TAG = (
    "You are not authorized to perform this operation. User: arn:aws:iam::1:user/nas is not authorized to perform: "
    "ec2:CreateTags on resource: arn:aws:ec2:us-east-1:1:volume/* because no identity-based policy allows it. "
    "Encoded authorization failure message: 0aK3jQ"
)


def translated(error: Exception) -> Ec2zfsError:
    with pytest.raises(Ec2zfsError) as caught, aws_errors():
        raise error
    return caught.value


def refusal(code: str, message: str = "Because.", action: str = "CreateVolume") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, action)


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("UnauthorizedOperation", CredentialsError, "IAM does not allow ec2:CreateVolume: Because"),
        ("AccessDenied", CredentialsError, "Add ec2:CreateVolume to the policy"),
        ("ExpiredToken", CredentialsError, "have expired"),
        ("RequestExpired", CredentialsError, "check this machine's clock"),
        ("AuthFailure", CredentialsError, "does not accept the credentials"),
        ("SignatureDoesNotMatch", CredentialsError, "looked at the environment"),
        ("OptInRequired", CredentialsError, "does not serve this account"),
        ("InsufficientInstanceCapacity", NoCapacity, "ec2:CreateVolume: EC2 said InsufficientInstanceCapacity"),
        ("SpotMaxPriceTooLow", NoCapacity, "Because."),
        ("MaxSpotInstanceCountExceeded", NoCapacity, "Because."),
        ("RequestLimitExceeded", CloudError, "throttles this account"),
        ("VolumeLimitExceeded", CloudError, "higher quota"),
        ("IdempotentParameterMismatch", CloudError, "with other values"),
        ("SomethingNew", CloudError, "EC2 said SomethingNew: Because."),
    ],
)
def test_a_refusal_has_its_kind_and_its_words(code: str, kind: type[Ec2zfsError], words: str) -> None:
    error = translated(refusal(code))
    assert type(error) is kind
    assert words in str(error)


@pytest.mark.parametrize(
    ("code", "message", "hour"),
    [
        ("VolumeModificationRateExceeded", "You can modify it again after 2026-11-25T09:30:00Z.", "25 09:30"),
        ("VolumeModificationRateExceeded", "Try again at 2026-11-26 01:00:00 UTC.", "26 01:00"),
        ("VolumeModificationRateExceeded", "Wait at least 6 hours between modifications per EBS volume.", "25 08:17"),
        ("IncorrectModificationState", "vol-1 is in modification state OPTIMIZING", "25 02:32"),
        ("IncorrectModificationState", "Its modification began at 2026-11-01T00:00:00Z", "25 02:32"),
    ],
)
def test_a_modification_that_comes_too_soon_has_its_time(code: str, message: str, hour: str) -> None:
    headers = {"date": "Wed, 25 Nov 2026 02:17:00 GMT"}
    answer = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPHeaders": headers}}
    error = translated(ClientError(answer, "ModifyVolume"))  # type: ignore[arg-type]
    assert isinstance(error, ModificationTooSoon)
    assert (error.code, error.action) == (code, "ec2:ModifyVolume")
    assert error.not_before.tzinfo is UTC
    assert f"{error.not_before:%d %H:%M}" == hour


def test_without_a_date_the_time_is_told_by_this_clock() -> None:
    before = datetime.now(UTC)
    error = translated(refusal("VolumeModificationRateExceeded", action="ModifyVolume"))
    assert isinstance(error, ModificationTooSoon)
    assert timedelta(hours=6) <= error.not_before - before < timedelta(hours=6, minutes=1)


def test_a_cloud_error_keeps_code_and_action() -> None:
    error = translated(refusal("IncorrectState", action="DetachVolume"))
    assert isinstance(error, CloudError)
    assert (error.code, error.action) == ("IncorrectState", "ec2:DetachVolume")


def test_iam_may_refuse_another_action_than_the_call() -> None:
    error = translated(refusal("UnauthorizedOperation", NO_RIGHT_TO_TAG))
    assert "IAM does not allow ec2:CreateTags (needed for ec2:CreateVolume)" in str(error)
    assert "Add ec2:CreateTags to the policy" in str(error)
    assert "0aK3jQ" not in str(error)


def test_identity_belongs_to_sts() -> None:
    assert "sts:GetCallerIdentity" in str(translated(refusal("AccessDenied", action="GetCallerIdentity")))


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (boto.NoCredentialsError(), CredentialsError, "looked at the environment (AWS_ACCESS_KEY_ID"),
        (boto.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"), CredentialsError, "env"),
        (boto.ProfileNotFound(profile="nas"), CredentialsError, "Check aws.profile"),
        (boto.SSOTokenLoadError(error_msg="gone"), CredentialsError, "aws sso login"),
        (boto.UnauthorizedSSOTokenError(), CredentialsError, "aws sso login"),
        (boto.CredentialRetrievalError(provider="process", error_msg="no"), CredentialsError, "renewed"),
        (
            boto.EndpointConnectionError(endpoint_url="https://ec2.x"),
            CloudError,
            "cannot be reached: Could not connect",
        ),
        (boto.ConnectTimeoutError(endpoint_url="https://ec2.x"), CloudError, "Check the network, aws.region"),
        (boto.ReadTimeoutError(endpoint_url="https://ec2.x"), CloudError, "cannot be reached"),
        (boto.SSLError(endpoint_url="https://ec2.x", error=ValueError("certificate")), CloudError, "cannot be reached"),
        (boto.ProxyConnectionError(proxy_url="http://proxy"), CloudError, "cannot be reached"),
        (boto.InvalidRegionError(region_name="us_east 1"), ConfigurationError, "written like us-east-1"),
        (boto.DataNotFoundError(data_path="ec2"), CloudError, "The AWS SDK failed"),
    ],
)
def test_without_an_answer_there_is_a_sentence_too(error: BotoCoreError, kind: type[Ec2zfsError], words: str) -> None:
    told = translated(error)
    assert type(told) is kind
    assert words in str(told)


def test_our_own_errors_pass() -> None:
    error = CloudError("ours")
    assert translated(error) is error


@pytest.mark.parametrize(
    ("code", "exit_code", "words"),
    [
        ("UnauthorizedOperation", ExitCode.CREDENTIALS, "Add ec2:DescribeVolumes to the policy"),
        ("ExpiredToken", ExitCode.CREDENTIALS, "have expired"),
        ("AuthFailure", ExitCode.CREDENTIALS, "does not accept"),
        ("InvalidParameterValue", ExitCode.CLOUD, "ec2:DescribeVolumes: EC2 said InvalidParameterValue"),
    ],
)
def test_what_ec2_refuses_reaches_the_operator(cloud: Served, code: str, exit_code: ExitCode, words: str) -> None:
    cloud.local.faults.add(Fault(FaultKind.FAIL, "DescribeVolumes", code=code))
    with pytest.raises(Ec2zfsError) as caught:
        Volumes(cloud.ec2, "cloud").volumes()
    assert caught.value.exit_code is exit_code
    assert words in str(caught.value)
