"""S3 refuses an upload whose checksum is wrong.

Rule: Content-MD5 and x-amz-checksum-{crc32,crc64nvme,sha1,sha256}, as a header or as the trailer of an `aws-chunked`
body, are compared with what arrived: BadDigest when they differ, InvalidDigest when Content-MD5 is no MD5. Source: fact
31, S3 API reference, "Error responses". moto accepts every checksum. (CRC32C is not compared: Python has none.)
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable

from ec2zfs.lab.api.crc64nvme import crc64nvme
from ec2zfs.lab.api.request import Environ, body
from ec2zfs.lab.faults import ErrorAnswer

_UPLOADS = ("PUT", "POST")


def _sha1(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _crc32(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(4, "big")


def _crc64nvme(data: bytes) -> bytes:
    return crc64nvme(data).to_bytes(8, "big")


_ALGORITHMS: dict[str, Callable[[bytes], bytes]] = {
    "crc32": _crc32,
    "crc64nvme": _crc64nvme,
    "sha1": _sha1,
    "sha256": _sha256,
}


def wrong_checksum(environ: Environ) -> ErrorAnswer | None:
    """The error for an upload whose checksum does not fit its body; None when all that it claims is true."""
    if environ["REQUEST_METHOD"] not in _UPLOADS or _of_another_body(environ):
        return None
    claims = {name: environ.get(f"HTTP_X_AMZ_CHECKSUM_{name.upper()}", "") for name in _ALGORITHMS}
    md5 = environ.get("HTTP_CONTENT_MD5", "")
    trailer = environ.get("HTTP_X_AMZ_TRAILER", "")
    if not (any(claims.values()) or md5 or trailer):
        return None
    data = body(environ)
    if "aws-chunked" in environ.get("HTTP_CONTENT_ENCODING", "") or trailer:
        data, trailing = _unchunked(data)
        claims.update(
            {name: trailing[f"x-amz-checksum-{name}"] for name in claims if f"x-amz-checksum-{name}" in trailing}
        )
    return _wrong_md5(md5, data) or _wrong_claim(claims, data)


def _of_another_body(environ: Environ) -> bool:
    # CompleteMultipartUpload claims the checksum of the object, not of its own XML.
    return environ["REQUEST_METHOD"] == "POST" and "uploadId=" in environ.get("QUERY_STRING", "")


def _wrong_md5(claim: str, data: bytes) -> ErrorAnswer | None:
    if not claim:
        return None
    try:
        digest = base64.b64decode(claim, validate=True)
    except binascii.Error:
        digest = b""
    if len(digest) != 16:
        return ErrorAnswer("InvalidDigest", "The Content-MD5 you specified was invalid.", 400)
    if digest != hashlib.md5(data, usedforsecurity=False).digest():
        return ErrorAnswer("BadDigest", "The Content-MD5 you specified did not match what we received.", 400)
    return None


def _wrong_claim(claims: dict[str, str], data: bytes) -> ErrorAnswer | None:
    for name, claim in claims.items():
        if claim and base64.b64encode(_ALGORITHMS[name](data)).decode() != claim.strip():
            words = f"The {name.upper()} you specified did not match the calculated checksum."
            return ErrorAnswer("BadDigest", words, 400)
    return None


def _unchunked(data: bytes) -> tuple[bytes, dict[str, str]]:
    """The payload and the trailing headers of an `aws-chunked` body."""
    payload, place = [], 0
    while (end := data.find(b"\r\n", place)) >= 0:
        size = int(data[place:end].split(b";")[0] or b"0", 16)
        place = end + 2
        if size == 0:
            break
        payload.append(data[place : place + size])
        place += size + 2
    lines = data[place:].decode("ascii", "replace").splitlines()
    trailing = dict(line.split(":", 1) for line in lines if ":" in line)
    return b"".join(payload), {name.lower(): value.strip() for name, value in trailing.items()}
