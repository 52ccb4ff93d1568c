"""The digest of what passes: BLAKE3, made as it passes.

On a processor without instructions for SHA, SHA-256 takes longer than encryption; BLAKE3 takes a tenth of it. `b3sum`
prints the same.
"""

from __future__ import annotations

from blake3 import blake3

from ec2zfs.encryption.interface import Content


class Passed:
    """How much has passed, and its digest."""

    def __init__(self) -> None:
        self.size = 0
        self._digest = blake3()

    def count(self, data: bytes | bytearray | memoryview) -> None:
        """Take in what has passed."""
        self.size += len(data)
        self._digest.update(data)

    def content(self) -> Content:
        """All that has passed up to now."""
        return Content(self.size, self._digest.digest())
