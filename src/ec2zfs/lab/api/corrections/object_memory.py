"""The local S3 holds as much as it is allowed to, and says so.

Rule of the lab, not of S3: moto holds an object in memory several times over (4.5 times at the end of a multipart
upload), so uploads beyond a limit are refused with the error code LocalS3Full, which no real S3 has. Source:
reference/dependencies.md, section 3 ("moto memory").
"""

from __future__ import annotations

import threading
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from ec2zfs.lab.api.request import Environ
from ec2zfs.lab.faults import ErrorAnswer


class ObjectMemory:
    """Knows how many bytes the local S3 holds; counts again only when it may be full."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._lock = threading.Lock()

    def full(self, environ: Environ) -> ErrorAnswer | None:
        """The error for an upload that would not fit; else it is counted as held."""
        size = int(environ.get("CONTENT_LENGTH") or 0)
        if environ["REQUEST_METHOD"] != "PUT" or not size:
            return None
        with self._lock:
            if self._held + size > self._limit:
                self._held = held_bytes()
            if self._held + size > self._limit:
                return ErrorAnswer(
                    "LocalS3Full",
                    f"The local S3 holds {self._held} bytes and at most {self._limit}: delete objects, or send less.",
                    400,
                )
            self._held += size
        return None


def held_bytes() -> int:
    """The bytes of all versions of all objects and of all parts."""
    backend: Any = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    total = 0
    for bucket in list(backend.buckets.values()):
        versions = [version for _, kept in bucket.keys.lists() for version in kept]
        parts = [part for upload in list(bucket.multiparts.values()) for part in list(upload.parts.values())]
        # A delete marker has no size.
        total += sum(getattr(piece, "size", 0) for piece in versions + parts)
    return total
