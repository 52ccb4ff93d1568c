"""The connection to AWS: credentials by the SDK's own chain, explicit retries."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.fakes.local_ec2 import CREDENTIALS, REGION, Served

from ec2zfs.cloud.session import ATTEMPTS, CONNECTIONS, Aws
from ec2zfs.errors import CredentialsError


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_EC2_METADATA_DISABLED", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, CREDENTIALS[name])


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


def test_missing_credentials_tell_where_they_were_looked_for() -> None:
    with pytest.raises(CredentialsError, match=r"default profile.*AWS_ACCESS_KEY_ID.*aws sso login"):
        Aws(REGION).ec2()


def test_missing_credentials_tell_the_profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[profile nas]\nregion = us-east-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with pytest.raises(CredentialsError, match="profile nas"):
        Aws(REGION, profile="nas").ec2()


def test_a_profile_that_does_not_exist_is_named() -> None:
    with pytest.raises(CredentialsError, match=r"\(nas\).*aws.profile"):
        Aws(REGION, profile="nas").sts()


def test_half_a_credential_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    with pytest.raises(CredentialsError, match="AWS_SECRET_ACCESS_KEY"):
        Aws(REGION).ec2()


@pytest.mark.usefixtures("credentials")
def test_threads_share_one_client_whose_retries_and_connections_are_explicit() -> None:
    aws = Aws(REGION)
    with ThreadPoolExecutor(8) as pool:
        clients = list(pool.map(lambda _: aws.ec2(), range(8)))
    assert all(client is clients[0] for client in clients)
    config = vars(clients[0].meta.config)["_user_provided_options"]
    assert config["retries"] == {"mode": "standard", "total_max_attempts": ATTEMPTS}
    assert config["max_pool_connections"] == CONNECTIONS


@pytest.mark.usefixtures("credentials")
def test_an_endpoint_on_this_machine_is_asked_without_proxy(cloud: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    aws = Aws(REGION, endpoint_url=cloud.local.endpoint)
    assert aws.sts().get_caller_identity()["Account"]
    assert aws.ec2().describe_volumes()["Volumes"] == []
