"""What makes a creating call safe to repeat: client tokens, and how old an answer's thing is (fact 12). Calls nothing.

EC2 answers a token that it knows with what the first call made, for a day or longer. When that is gone since, it
refuses the token for as long, or answers with what is gone (kubernetes-sigs/aws-ebs-csi-driver, issues 1428, 1951 and
3010; boto/boto3, issue 4406). So a token names the thing and an attempt, and the attempts are a chain: the first whose
answer still stands is the one. Nothing is remembered between runs: a run that was killed anywhere walks the same chain
and arrives at the same thing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from ec2zfs.errors import CloudError

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import ResponseMetadataTypeDef

MOST_ATTEMPTS = 50
MISMATCH = "IdempotentParameterMismatch"
TERMINATED = "IdempotentInstanceTerminated"
DATE_STEP_SECONDS = 2.0
"""By how much an answer's date, which has whole seconds, may be off."""


def client_token(words: Mapping[str, str], attempt: int) -> str:
    """64 ASCII characters, the most that EC2 takes, that follow from the thing's name and the attempt alone."""
    name = "\0".join(f"{key}={value}" for key, value in sorted({**words, "attempt": str(attempt)}.items()))
    return hashlib.sha256(name.encode()).hexdigest()


def spent(error: CloudError) -> bool:
    """Whether EC2 refused a token because what it had made is gone; for a volume only the message tells."""
    return error.code == TERMINATED or (error.code == MISMATCH and "already deleted" in error.message)


def age_seconds(metadata: ResponseMetadataTypeDef, made: datetime) -> float:
    """Seconds from the making of a thing to the answer that tells of it, by the clock of EC2 alone.

    0 for an answer without a date: a thing is taken for new rather than made twice.
    """
    date = metadata.get("HTTPHeaders", {}).get("date")
    return (parsedate_to_datetime(date) - made).total_seconds() if date else 0.0
