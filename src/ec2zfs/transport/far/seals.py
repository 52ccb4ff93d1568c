"""What frames are sealed with: AES-256-GCM; or, on a way that ssh encrypts already, keyed BLAKE2b, which authenticates.

The latter needs the standard library alone, for hosts without `cryptography`.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Protocol

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
except ModuleNotFoundError as error:
    if (error.name or "").split(".")[0] != "cryptography":
        raise
    HAS_AES = False
else:
    HAS_AES = True

AES, BLAKE2B = "aes-256-gcm", "blake2b"
_DIGEST_BYTES = 16
"""As long as the tag of AES-GCM."""


class Forged(Exception):
    """The tag does not fit."""


class BlakeKey(bytes):
    """A key that seals by BLAKE2b; any other seals by AES-256-GCM."""


class Cipher(Protocol):
    """Seals and opens under one key. `head` is authenticated too; no `nonce` may come twice in sealing."""

    def seal(self, nonce: bytes, plain: memoryview, head: bytes, into: memoryview) -> None:
        """Write what was sealed, and its tag, to `into`."""
        ...

    def open(self, nonce: bytes, sealed: memoryview, head: bytes, into: memoryview) -> None:
        """Write the plaintext to `into`; raises `Forged`."""
        ...


def cipher(key: bytes) -> Cipher:
    """What seals under a key of 32 bytes."""
    return Blake2b(key) if isinstance(key, BlakeKey) else Aes(key)


class Aes:
    """AES-256-GCM as `cryptography` has it; in place from version 46 on, before with one copy more."""

    in_place = HAS_AES and hasattr(AESGCM, "encrypt_into")

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, nonce: bytes, plain: memoryview, head: bytes, into: memoryview) -> None:
        """See `Cipher`."""
        if self.in_place:
            self._cipher.encrypt_into(nonce, plain, head, into)
        else:
            into[:] = self._cipher.encrypt(nonce, bytes(plain), head)

    def open(self, nonce: bytes, sealed: memoryview, head: bytes, into: memoryview) -> None:
        """See `Cipher`."""
        try:
            if self.in_place:
                self._cipher.decrypt_into(nonce, sealed, head, into)
            else:
                into[:] = self._cipher.decrypt(nonce, bytes(sealed), head)
        except InvalidTag:
            raise Forged from None


class Blake2b:
    """The plaintext and 16 bytes of keyed BLAKE2b over nonce, head and plaintext; the first two are of fixed length."""

    def __init__(self, key: bytes) -> None:
        self._key = bytes(key)

    def seal(self, nonce: bytes, plain: memoryview, head: bytes, into: memoryview) -> None:
        """See `Cipher`."""
        into[: len(plain)] = plain
        into[len(plain) :] = self._tag(nonce, plain, head)

    def open(self, nonce: bytes, sealed: memoryview, head: bytes, into: memoryview) -> None:
        """See `Cipher`."""
        plain = sealed[: len(into)]
        if not hmac.compare_digest(self._tag(nonce, plain, head), sealed[len(into) :]):
            raise Forged
        into[:] = plain

    def _tag(self, nonce: bytes, plain: memoryview, head: bytes) -> bytes:
        digest = hashlib.blake2b(nonce + head, digest_size=_DIGEST_BYTES, key=self._key)
        digest.update(plain)
        return digest.digest()
