"""How two ends show each other that they know the transfer's secret, before anything else is heard or said.

The listening end speaks first: a greeting and 32 fresh random bytes. The connecting end answers with 32 of its own and
its proof, HMAC-SHA256 over both; only then the listening end shows its own proof. Neither proof fits another
connection, nor the other side. A stranger gets random bytes and no proof.
"""

from __future__ import annotations

import hmac
import secrets
import socket
import time
from dataclasses import dataclass

GREETING = b"ec2zfs/1"
NONCE_BYTES = 32
PROOF_BYTES = 32


class Stranger(Exception):
    """Who is at the other side did not prove that it knows the secret."""


class Departed(Stranger):
    """Who was at the other side went before it had proved anything: a port scanner, or our own end that is ending."""


def proof(key: bytes, side: bytes, nonces: bytes) -> bytes:
    """What a side (b"listening" or b"connecting") shows; `nonces` are the listening end's, then the other's."""
    return hmac.digest(key, side + b" " + nonces, "sha256")


@dataclass(frozen=True)
class Handshake:
    """`key` is the transfer's proof key; `seconds`, how long the whole of it may take.

    Both ways return the two nonces, which make the connection's own keys, and raise `Stranger` or OSError.
    """

    key: bytes
    seconds: float

    def as_listener(self, end: socket.socket) -> bytes:
        """Prove oneself to who has connected, once it has proved itself."""
        deadline = time.monotonic() + self.seconds
        own = secrets.token_bytes(NONCE_BYTES)
        _say(end, GREETING + own, deadline)
        answer = _heard(end, NONCE_BYTES + PROOF_BYTES, deadline)
        nonces = own + answer[:NONCE_BYTES]
        self._require(answer[NONCE_BYTES:], b"connecting", nonces)
        _say(end, proof(self.key, b"listening", nonces), deadline)
        return nonces

    def as_connector(self, end: socket.socket) -> bytes:
        """Prove oneself to who listens, and have it prove itself."""
        deadline = time.monotonic() + self.seconds
        greeting = _heard(end, len(GREETING) + NONCE_BYTES, deadline)
        if not greeting.startswith(GREETING):
            raise Stranger("it speaks another protocol")
        own = secrets.token_bytes(NONCE_BYTES)
        nonces = greeting[len(GREETING) :] + own
        _say(end, own + proof(self.key, b"connecting", nonces), deadline)
        self._require(_heard(end, PROOF_BYTES, deadline), b"listening", nonces)
        return nonces

    def _require(self, shown: bytes, side: bytes, nonces: bytes) -> None:
        if not hmac.compare_digest(shown, proof(self.key, side, nonces)):
            raise Stranger("it does not know the secret of this transfer")


def _say(end: socket.socket, data: bytes, deadline: float) -> None:
    end.settimeout(_left(deadline))
    end.sendall(data)


def _heard(end: socket.socket, size: int, deadline: float) -> bytes:
    data = b""
    while len(data) < size:
        end.settimeout(_left(deadline))
        part = end.recv(size - len(data))
        if not part:
            raise Departed("it closed the connection before it had proved itself")
        data += part
    return data


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise Stranger("it did not prove itself in time")
    return left
