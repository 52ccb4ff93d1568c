"""Instance metadata as EC2's version 2 gives it: a token first, then questions. One server for each machine.

Rule: GET without a valid token is 401 (version 1 does not exist here), the token has a time to live that must be given,
a forwarded request gets no token; `spot/instance-action` and the rebalance recommendation are 404 until there is one.
Source: fact 16, fact 23. moto's own is a stub.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TTL = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "X-aws-ec2-metadata-token"  # noqa: S105 - the name of a header
LONGEST_TTL = 21_600


@dataclass(frozen=True)
class InstanceFacts:
    """What an instance is told of itself. `interruption` is the spot instance-action, `rebalance` a time."""

    instance_id: str
    instance_type: str
    image_id: str
    region: str
    zone: str
    private_address: str = ""
    public_address: str = ""
    key_name: str = ""
    public_key: str = ""
    user_data: str = ""
    interruption: Mapping[str, str] = field(default_factory=dict)
    rebalance: str = ""

    @property
    def hostname(self) -> str:
        """The private DNS name."""
        return f"ip-{self.private_address.replace('.', '-')}.ec2.internal" if self.private_address else self.instance_id


def documents(facts: InstanceFacts) -> dict[str, str]:
    """Every document by its path below `/latest/`; what an instance does not have is not there."""
    identity = {
        "instanceId": facts.instance_id,
        "instanceType": facts.instance_type,
        "imageId": facts.image_id,
        "region": facts.region,
        "availabilityZone": facts.zone,
        "privateIp": facts.private_address,
    }
    found = {
        "meta-data/instance-id": facts.instance_id,
        "meta-data/instance-type": facts.instance_type,
        "meta-data/ami-id": facts.image_id,
        "meta-data/placement/availability-zone": facts.zone,
        "meta-data/placement/region": facts.region,
        "meta-data/local-ipv4": facts.private_address,
        "meta-data/public-ipv4": facts.public_address,
        "meta-data/hostname": facts.hostname,
        "meta-data/local-hostname": facts.hostname,
        "meta-data/public-keys/0/openssh-key": facts.public_key,
        "meta-data/events/recommendations/rebalance": facts.rebalance and json.dumps({"noticeTime": facts.rebalance}),
        "meta-data/spot/instance-action": facts.interruption and json.dumps(dict(facts.interruption)),
        "user-data": facts.user_data,
        "dynamic/instance-identity/document": json.dumps(identity, indent=1),
    }
    if facts.interruption.get("action") == "terminate":
        found["meta-data/spot/termination-time"] = facts.interruption["time"]
    return {path: text for path, text in found.items() if text}


def answer(facts: InstanceFacts, path: str) -> str | None:
    """The document at a path below `/latest/`, or the names below it; None when there is nothing."""
    every = documents(facts)
    wanted = path.strip("/")
    if wanted in every:
        return every[wanted]
    if wanted == "meta-data/public-keys" and facts.public_key:
        return f"0={facts.key_name}"
    below = [known[len(wanted) :].lstrip("/") for known in every if not wanted or known.startswith(f"{wanted}/")]
    names = {name.split("/")[0] + ("/" if "/" in name else "") for name in below}
    return "\n".join(sorted(names)) or None


class Tokens:
    """The tokens that were given, with their ends."""

    def __init__(self) -> None:
        self._ends: dict[str, float] = {}

    def give(self, seconds: int) -> str:
        """A new token that holds so long."""
        token = secrets.token_urlsafe(40)
        self._ends[token] = time.monotonic() + seconds
        return token

    def valid(self, token: str | None) -> bool:
        """Whether the token was given and has not ended."""
        return token is not None and self._ends.get(token, 0.0) > time.monotonic()


class MetadataServer:
    """Serves one instance on a port of 127.0.0.1 until `close()`. `facts` is asked at every request."""

    def __init__(self, facts: Callable[[], InstanceFacts]) -> None:
        tokens = Tokens()

        class Handler(_Handler):
            def facts(self) -> InstanceFacts:
                return facts()

            def tokens(self) -> Tokens:
                return tokens

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="metadata", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server_version = "EC2ws"

    def facts(self) -> InstanceFacts:
        """What this instance is told."""
        raise NotImplementedError

    def tokens(self) -> Tokens:
        """The tokens of this server."""
        raise NotImplementedError

    def do_PUT(self) -> None:
        """Give a token."""
        seconds = self.headers.get(TTL, "")
        if self.path != "/latest/api/token":
            self._say(HTTPStatus.NOT_FOUND)
        elif self.headers.get("X-Forwarded-For"):
            self._say(HTTPStatus.FORBIDDEN)
        elif not (seconds.isdigit() and 1 <= int(seconds) <= LONGEST_TTL):
            self._say(HTTPStatus.BAD_REQUEST)
        else:
            self._say(HTTPStatus.OK, self.tokens().give(int(seconds)))

    def do_GET(self) -> None:
        """Answer a question."""
        if not self.tokens().valid(self.headers.get(TOKEN)):
            self._say(HTTPStatus.UNAUTHORIZED)
            return
        text = answer(self.facts(), self.path.removeprefix("/latest")) if self.path.startswith("/latest") else None
        if text is None:
            self._say(HTTPStatus.NOT_FOUND)
        else:
            self._say(HTTPStatus.OK, text)

    def _say(self, status: HTTPStatus, text: str = "") -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep quiet."""
