"""Turns what boto3 raises into our errors: one sentence each, with the IAM action or what to do. Calls nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from ec2zfs.errors import (
    CloudError,
    ConfigurationError,
    CredentialsError,
    Ec2zfsError,
    ModificationTooSoon,
    NoCapacity,
)

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError

CHAIN = (
    "The AWS SDK looked at the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), the profile of"
    " ~/.aws/credentials and ~/.aws/config, and the role of this machine or container."
)

_CAPACITY = frozenset(
    {
        "InsufficientInstanceCapacity",
        "InsufficientHostCapacity",
        "InsufficientVolumeCapacity",
        "SpotMaxPriceTooLow",
        "MaxSpotInstanceCountExceeded",
        "SpotInstanceTermination",
    }
)
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_REFUSED = frozenset({"UnauthorizedOperation", "AccessDenied", "AccessDeniedException"})
_UNKNOWN_KEY = frozenset(
    {
        "AuthFailure",
        "InvalidClientTokenId",
        "IncompleteSignature",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_THROTTLED = frozenset({"RequestLimitExceeded", "Throttling", "ThrottlingException", "TooManyRequestsException"})
_ACCOUNT = frozenset({"OptInRequired", "Blocked", "PendingVerification"})

MODIFICATION_UNDER_WAY = "IncorrectModificationState"
_MODIFIED_OFTEN = "VolumeModificationRateExceeded"
# How long a volume cannot be modified, where EC2 does not say it: what it once asked for between two modifications, and
# for one that is under way a time after which it is worth asking again; optimizing takes minutes to hours (fact 4).
_MODIFIABLE_AFTER = {_MODIFIED_OFTEN: timedelta(hours=6), MODIFICATION_UNDER_WAY: timedelta(minutes=15)}
_TOLD_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)")

_HINTS = {
    "AttachmentLimitExceeded": "Take an instance type that takes more volumes.",
    "InvalidAMIID.NotFound": "Check receiver.image: images belong to one region.",
    "InvalidInstanceType": "Check receiver.instance_type.",
    "InvalidParameterValue": "Check the configuration against what EC2 said.",
    "InvalidSubnetID.NotFound": "Check receiver.subnet_id: subnets belong to one region.",
    "InstanceLimitExceeded": "Ask AWS for a higher quota (Service Quotas, Amazon EC2).",
    "IdempotentParameterMismatch": "The same was asked for a moment ago with other values; run again in a minute.",
    "Unsupported": "Take an instance type that EC2 offers in this zone.",
    "VcpuLimitExceeded": "Ask AWS for a higher quota (Service Quotas, Amazon EC2), or take a smaller instance type.",
    "VolumeLimitExceeded": "Ask AWS for a higher quota (Service Quotas, Amazon EBS).",
    "MaxIOPSLimitExceeded": "Ask AWS for a higher quota (Service Quotas, Amazon EBS).",
    "VPCIdNotSpecified": "The account has no default VPC in this region: set receiver.subnet_id.",
}

_NAMED_ACTION = re.compile(r"not authorized to perform: ([A-Za-z0-9-]+:[A-Za-z0-9*]+)")
_ENCODED = re.compile(r"\s*Encoded authorization failure message: \S+")


@contextmanager
def aws_errors() -> Iterator[None]:
    """Translate what boto3 raises inside the block (or the decorated function).

    Raises `CredentialsError` (missing, expired, unknown, or an action that IAM refuses), `NoCapacity`,
    `ModificationTooSoon`, and `CloudError` with EC2's own code for the rest. `ConfigurationError` for a region
    that cannot be one.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise _translated(error) from error
    except BotoCoreError as error:
        raise _unanswered(error) from error


def capacity_error(code: str, said: str, action: str) -> CloudError:
    """The error for a refusal that EC2 told in a code of its own, in an answer or in a state's reason."""
    kind = NoCapacity if code in _CAPACITY else CloudError
    return kind(f"{action}: EC2 said {code}: {said}", hint=_HINTS.get(code, ""), code=code, action=action)


def _translated(error: ClientError) -> Ec2zfsError:
    code = error.response.get("Error", {}).get("Code", "")
    said = _ENCODED.sub("", error.response.get("Error", {}).get("Message", "")).strip()
    action = _action(error)
    if code in _REFUSED:
        return _refused(action, said)
    if code in _EXPIRED:
        return CredentialsError(
            f"{action}: the AWS credentials have expired ({said}).",
            hint="Renew them (`aws sso login`, or new temporary keys), check this machine's clock, and run again.",
        )
    if code in _UNKNOWN_KEY:
        return CredentialsError(
            f"{action}: AWS does not accept the credentials ({code}: {said}).",
            hint=f"Check the access key and this machine's clock. {CHAIN}",
        )
    if code in _ACCOUNT:
        return CredentialsError(f"{action}: AWS does not serve this account yet ({code}: {said}).")
    if code in _THROTTLED:
        return CloudError(
            f"{action}: EC2 throttles this account, and still did after every retry ({code}).",
            hint="Something else uses the API of this account heavily; run again later.",
            code=code,
            action=action,
        )
    if code in _MODIFIABLE_AFTER:
        return _too_soon(error, code, said)
    return capacity_error(code, said, action)


def _too_soon(error: ClientError, code: str, said: str) -> ModificationTooSoon:
    told = _TOLD_TIME.search(said) if code == _MODIFIED_OFTEN else None
    date = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    answered = parsedate_to_datetime(date) if date else datetime.now(UTC)
    later = answered + _MODIFIABLE_AFTER[code]
    return ModificationTooSoon(
        f"{_action(error)}: EC2 said {code}: {said}",
        not_before=datetime.fromisoformat(f"{told[1]}T{told[2]}+00:00") if told else later,
        hint="Give the same command again later; what is done stays done.",
        code=code,
        action=_action(error),
    )


def _refused(action: str, said: str) -> CredentialsError:
    named = _NAMED_ACTION.search(said)
    needed = named[1] if named else action
    during = "" if needed == action else f" (needed for {action})"
    return CredentialsError(
        f"IAM does not allow {needed}{during}: {said}",
        hint=f"Add {needed} to the policy of the user or role that runs ec2zfs.",
    )


def _action(error: ClientError) -> str:
    service = "sts" if error.operation_name in {"GetCallerIdentity", "AssumeRole"} else "ec2"
    return f"{service}:{error.operation_name}"


def _unanswered(error: BotoCoreError) -> Ec2zfsError:
    from botocore import exceptions as boto

    if isinstance(error, boto.NoCredentialsError | boto.NoAuthTokenError | boto.PartialCredentialsError):
        return CredentialsError(f"There are no usable AWS credentials: {_said(error)}. {CHAIN}", hint=LOG_IN)
    if isinstance(error, boto.ProfileNotFound):
        return CredentialsError(f"{_said(error)}.", hint="Check aws.profile, or `aws configure list-profiles`.")
    if isinstance(error, boto.SSOError | boto.LoginError | boto.TokenRetrievalError | boto.CredentialRetrievalError):
        return CredentialsError(f"AWS credentials could not be renewed: {_said(error)}.", hint=LOG_IN)
    if isinstance(error, boto.ConnectionError | boto.HTTPClientError):
        return CloudError(
            f"The AWS API cannot be reached: {_said(error)}.",
            hint="Check the network, aws.region (a region that does not exist has no address) and aws.endpoint_url.",
        )
    if isinstance(error, boto.InvalidRegionError):
        return ConfigurationError(f"{_said(error)}.", hint="Check aws.region; a region is written like us-east-1.")
    return CloudError(f"The AWS SDK failed: {_said(error)}.")


LOG_IN = "Log in with `aws configure` or `aws sso login`, or set aws.profile, and run again."


def _said(error: BotoCoreError) -> str:
    return str(error).strip().rstrip(".")
