"""The keys of one transfer, all derived by HKDF-SHA256 from one secret that is made for it and never used again."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from ec2zfs.transport.far.seals import AES, BlakeKey

SECRET_BYTES = 32
KEY_BYTES = 32
_PURPOSE = b"ec2zfs stream 1: "


def _derived(secret: bytes, label: bytes) -> bytes:
    """HKDF (RFC 5869) without a salt; as the key is as long as the hash, its second step has one round."""
    pseudorandom = hmac.digest(bytes(KEY_BYTES), secret, "sha256")
    return hmac.digest(pseudorandom, _PURPOSE + label + b"\x01", "sha256")


@dataclass(frozen=True)
class ControlKeys:
    """What one connection's control frames are sealed with, a key for each direction."""

    from_sender: bytes
    from_receiver: bytes


class TransferKeys:
    """`data` seals the frames of the stream, `proof` shows on each connection that both ends know the secret.

    Each key has one purpose and one direction. A connection's control keys also hang on the two nonces that its ends
    chose for it, so what was said on one connection means nothing on another. Raises ValueError for a secret that is
    not of 32 bytes. `seal`: what the keys are to seal with.
    """

    def __init__(self, secret: bytes, seal: str = AES) -> None:
        if len(secret) != SECRET_BYTES:
            raise ValueError(f"the secret of a transfer has {SECRET_BYTES} bytes, not {len(secret)}")
        self._secret = secret
        self._kind = bytes if seal == AES else BlakeKey
        self.data = self._kind(_derived(secret, b"data"))
        self.proof = _derived(secret, b"proof")

    def control(self, nonces: bytes) -> ControlKeys:
        """The keys of one connection: `nonces` are the listening end's and then the connecting end's."""
        return ControlKeys(
            self._kind(_derived(self._secret, b"control from the sender " + nonces)),
            self._kind(_derived(self._secret, b"control from the receiver " + nonces)),
        )
