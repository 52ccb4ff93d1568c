"""The digest of what passes: of a small content at once, of the rest of a large one in a thread beside.

Hashing leaves Python's lock alone and the libraries that encrypt hold it, so a large file is encrypted on one core
while another hashes what was read and written.
"""

from __future__ import annotations

import hashlib
import queue
import threading
from functools import cache

from ec2zfs.encryption.interface import Content

_AT_ONCE = 4 << 20
_AHEAD = 8


class Passed:
    """How much has passed, and its SHA-256."""

    def __init__(self) -> None:
        self.size = 0
        self._digest = hashlib.sha256()

    def count(self, data: bytes | bytearray | memoryview) -> None:
        """Take in what has passed, which nobody changes any more."""
        self.size += len(data)
        if self.size <= _AT_ONCE:
            self._digest.update(data)
        else:
            _beside().put((self, data))

    def content(self) -> Content:
        """All that has passed up to now."""
        if self.size > _AT_ONCE:
            _beside().join()
        return Content(self.size, self._digest.digest())

    def take_in(self, data: bytes | bytearray | memoryview) -> None:
        """Hash what was counted before, in the thread beside."""
        self._digest.update(data)


@cache
def _beside() -> queue.Queue[tuple[Passed, bytes | bytearray | memoryview]]:
    """What the thread has still to hash; it holds so little that whoever is faster waits."""
    waiting: queue.Queue[tuple[Passed, bytes | bytearray | memoryview]] = queue.Queue(_AHEAD)

    def hash_all() -> None:
        while True:
            passed, data = waiting.get()
            passed.take_in(data)
            waiting.task_done()

    threading.Thread(target=hash_all, name="digests", daemon=True).start()
    return waiting
