"""The connection to AWS: region, profile, endpoint, retries. Holds no credential; the SDK's own chain finds them."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ec2zfs.cloud.errors import CHAIN, LOG_IN, aws_errors
from ec2zfs.errors import CredentialsError

if TYPE_CHECKING:
    import boto3
    from botocore.config import Config
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_sts import STSClient

ATTEMPTS = 10
"""Tries of a call in all: the first and the retries, with a wait that doubles up to 20 s (fact 13)."""

CONNECTIONS = 32
"""Calls that may be under way at once; more threads than this wait for each other."""


class Aws:
    """One region of one account. Clients are made once, when first asked for, and may be shared by threads."""

    def __init__(self, region: str, profile: str | None = None, endpoint_url: str | None = None) -> None:
        self._region = region
        self._profile = profile
        self._endpoint_url = endpoint_url
        self._making = threading.RLock()

    def ec2(self) -> EC2Client:
        """The EC2 client. Raises `CredentialsError` when the SDK's chain finds no credentials."""
        with self._making:
            return self._ec2

    def sts(self) -> STSClient:
        """The STS client. Raises `CredentialsError` when the SDK's chain finds no credentials."""
        with self._making:
            return self._sts

    @cached_property
    def _ec2(self) -> EC2Client:
        with aws_errors():
            return self._session.client("ec2", endpoint_url=self._endpoint_url, config=_config(self._endpoint_url))

    @cached_property
    def _sts(self) -> STSClient:
        with aws_errors():
            return self._session.client("sts", endpoint_url=self._endpoint_url, config=_config(self._endpoint_url))

    @cached_property
    def _session(self) -> boto3.Session:
        import boto3

        with aws_errors():
            session = boto3.Session(region_name=self._region, profile_name=self._profile)
            found = session.get_credentials()
        if found is None:
            asked = f"profile {self._profile}" if self._profile else "the default profile"
            raise CredentialsError(f"There are no AWS credentials (with {asked}). {CHAIN}", hint=LOG_IN)
        return session


def _config(endpoint_url: str | None) -> Config:
    from botocore.config import Config

    from ec2zfs import __version__

    # Explicit: the SDK's defaults differ from version to version. `standard` and not `adaptive`, whose client-side rate
    # limiter is documented as experimental; ten tries last longer than any throttling that we were shown (fact 13).
    return Config(
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        max_pool_connections=CONNECTIONS,
        connect_timeout=10,
        read_timeout=60,
        proxies={} if _is_loopback(endpoint_url) else None,
        user_agent_extra=f"ec2zfs/{__version__}",
    )


def _is_loopback(endpoint_url: str | None) -> bool:
    """Whether the endpoint is on this machine, where no proxy of the environment can reach it: the local EC2."""
    host = urlsplit(endpoint_url or "").hostname or ""
    return host in {"localhost", "::1"} or host.startswith("127.")
