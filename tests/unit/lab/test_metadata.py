from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace

import pytest

from ec2zfs.lab.metadata import TOKEN, TTL, InstanceFacts, MetadataServer, answer

FACTS = InstanceFacts(
    instance_id="i-0123456789abcdef0",
    instance_type="m7a.medium",
    image_id="ami-0123456789abcdef0",
    region="us-east-1",
    zone="us-east-1a",
    private_address="10.0.0.7",
    public_address="127.1.2.3",
    key_name="lab",
    public_key="ssh-ed25519 AAAA",
    user_data="#!/bin/sh\ntrue\n",
)
TAKEN = {"action": "terminate", "time": "2026-11-23T02:17:00Z"}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("meta-data/instance-id", "i-0123456789abcdef0"),
        ("/meta-data/instance-type/", "m7a.medium"),
        ("meta-data/ami-id", "ami-0123456789abcdef0"),
        ("meta-data/placement/availability-zone", "us-east-1a"),
        ("meta-data/placement", "availability-zone\nregion"),
        ("meta-data/public-ipv4", "127.1.2.3"),
        ("meta-data/local-hostname", "ip-10-0-0-7.ec2.internal"),
        ("meta-data/public-keys/", "0=lab"),
        ("meta-data/public-keys/0/", "openssh-key"),
        ("meta-data/public-keys/0/openssh-key", "ssh-ed25519 AAAA"),
        ("user-data", "#!/bin/sh\ntrue\n"),
        ("meta-data/spot/instance-action", None),
        ("meta-data/events/recommendations/rebalance", None),
        ("meta-data/iam/", None),
        ("", "dynamic/\nmeta-data/\nuser-data"),
    ],
)
def test_an_instance_is_told(path: str, text: str | None) -> None:
    assert answer(FACTS, path) == text


@pytest.mark.parametrize("path", ["meta-data/public-keys", "user-data"])
def test_what_it_does_not_have_is_not_there(path: str) -> None:
    assert answer(replace(FACTS, public_key="", user_data=""), path) is None


def test_an_interruption_is_announced() -> None:
    facts = replace(FACTS, interruption=TAKEN, rebalance="2026-11-23T02:15:00Z")
    assert json.loads(answer(facts, "meta-data/spot/instance-action") or "") == TAKEN
    assert answer(facts, "meta-data/spot/termination-time") == "2026-11-23T02:17:00Z"
    recommendation = json.loads(answer(facts, "meta-data/events/recommendations/rebalance") or "")
    assert recommendation == {"noticeTime": "2026-11-23T02:15:00Z"}


@pytest.fixture
def base() -> Iterator[str]:
    server = MetadataServer(lambda: FACTS)
    yield f"http://127.0.0.1:{server.port}/latest"
    server.close()


def ask(url: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        request = urllib.request.Request(url, method=method, headers=named)  # noqa: S310
        with urllib.request.urlopen(request) as answered:  # noqa: S310
            return answered.status, answered.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ""


def token(base: str) -> str:
    return ask(f"{base}/api/token", "PUT", **{TTL: "60"})[1]


def test_a_token_opens_the_metadata(base: str) -> None:
    assert ask(f"{base}/meta-data/instance-id", **{TOKEN: token(base)}) == (200, "i-0123456789abcdef0")
    assert ask(f"{base}/meta-data/spot/instance-action", **{TOKEN: token(base)}) == (404, "")


@pytest.mark.parametrize("headers", [{}, {TOKEN: "made-up"}])
def test_there_is_no_version_1(base: str, headers: dict[str, str]) -> None:
    assert ask(f"{base}/meta-data/instance-id", **headers) == (401, "")


def test_a_token_ends(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = token(base)
    now = __import__("time").monotonic()
    monkeypatch.setattr("ec2zfs.lab.metadata.time.monotonic", lambda: now + 61)
    assert ask(f"{base}/meta-data/instance-id", **{TOKEN: given}) == (401, "")


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("api/token", {}, 400),
        ("api/token", {TTL: "0"}, 400),
        ("api/token", {TTL: "21601"}, 400),
        ("api/token", {TTL: "60", "X-Forwarded-For": "10.0.0.1"}, 403),
        ("meta-data", {TTL: "60"}, 404),
    ],
)
def test_a_token_is_asked_for_properly(base: str, path: str, headers: dict[str, str], status: int) -> None:
    assert ask(f"{base}/{path}", "PUT", **headers)[0] == status
