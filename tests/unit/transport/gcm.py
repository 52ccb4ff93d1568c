"""AES-256-GCM as NIST SP 800-38D writes it, of the bare block cipher: a second opinion on what the product seals."""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_R = 0xE1 << 120


def hkdf(secret: bytes, info: bytes) -> bytes:
    """32 bytes by RFC 5869 with SHA-256 and no salt."""
    extracted = hmac.digest(bytes(32), secret, hashlib.sha256)
    return hmac.digest(extracted, info + b"\x01", hashlib.sha256)


def sealed(key: bytes, nonce: bytes, plain: bytes, associated: bytes) -> bytes:
    """The ciphertext and then the tag."""
    start = nonce + b"\x00\x00\x00\x01"
    pads = b"".join(_block(key, _counted(start, n + 1)) for n in range((len(plain) + 15) // 16))
    cipher = bytes(a ^ b for a, b in zip(plain, pads, strict=False))
    lengths = (8 * len(associated)).to_bytes(8, "big") + (8 * len(plain)).to_bytes(8, "big")
    hashed = _ghash(_block(key, bytes(16)), _padded(associated) + _padded(cipher) + lengths)
    return cipher + bytes(a ^ b for a, b in zip(hashed, _block(key, start), strict=True))


def _block(key: bytes, block: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305 - one block, to build the mode on
    return encryptor.update(block) + encryptor.finalize()


def _counted(start: bytes, number: int) -> bytes:
    return start[:12] + (int.from_bytes(start[12:], "big") + number).to_bytes(4, "big")


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 16)


def _ghash(key: bytes, data: bytes) -> bytes:
    h, y = int.from_bytes(key, "big"), 0
    for place in range(0, len(data), 16):
        y = _product(y ^ int.from_bytes(data[place : place + 16], "big"), h)
    return y.to_bytes(16, "big")


def _product(x: int, y: int) -> int:
    z = 0
    for place in range(127, -1, -1):
        if x >> place & 1:
            z ^= y
        y = y >> 1 ^ (_R if y & 1 else 0)
    return z
