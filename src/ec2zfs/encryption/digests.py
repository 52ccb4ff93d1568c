"""The digest of what passes, made as it passes or in a thread beside.

Hashing leaves Python's lock alone. A library that encrypts holds it, so what goes through one is hashed beside, on
another core.
"""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ec2zfs.encryption.interface import Content

_AHEAD = 8

Data = bytes | bytearray | memoryview


class Passed:
    """How much has passed, and its SHA-256."""

    def __init__(self) -> None:
        self.size = 0
        self._digest = hashlib.sha256()
        self._waiting: queue.Queue[Data | None] | None = None

    def count(self, data: Data) -> None:
        """Take in what has passed, which nobody changes any more."""
        self.size += len(data)
        if self._waiting is None:
            self._digest.update(data)
        else:
            self._waiting.put(data)

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Have what passes meanwhile hashed in a thread; of the two, the faster one waits."""
        waiting: queue.Queue[Data | None] = queue.Queue(_AHEAD)
        thread = threading.Thread(target=self._hash, args=(waiting,))
        thread.start()
        self._waiting = waiting
        try:
            yield
        finally:
            self._waiting = None
            waiting.put(None)
            thread.join()

    def content(self) -> Content:
        """All that has passed up to now; not while it is hashed beside."""
        return Content(self.size, self._digest.digest())

    def _hash(self, waiting: queue.Queue[Data | None]) -> None:
        while (data := waiting.get()) is not None:
            self._digest.update(data)
