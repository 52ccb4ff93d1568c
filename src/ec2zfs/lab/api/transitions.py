"""Changes of state that take time: each happens after its delay, and those of one resource in the order asked for.

A resource that has work gets a thread until its work is done. Knows nothing of what the work is.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

log = logging.getLogger(__name__)


class Transitions:
    """The changes under way. After `close()` nothing more happens."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[tuple[float, Callable[[], None]]]] = {}
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._threads: set[threading.Thread] = set()

    def after(self, seconds: float, owner: str, work: Callable[[], None]) -> None:
        """Do `work` no sooner than in `seconds`, and after all work asked for earlier for the same owner (an id)."""
        due = time.monotonic() + seconds
        with self._changed:
            if self._closing.is_set():
                return
            if owner in self._queues:
                self._queues[owner].append((due, work))
                return
            self._queues[owner] = deque([(due, work)])
            thread = threading.Thread(target=self._work_off, args=(owner,), name=f"transition {owner}", daemon=True)
            self._threads.add(thread)
            thread.start()

    def settled(self, timeout: float) -> bool:
        """Wait until no change is under way, at most `timeout` seconds; whether that came true."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._queues, timeout)

    def close(self, timeout: float = 60.0) -> None:
        """Let the work that has begun end (at most `timeout` seconds), and drop what has not."""
        self._closing.set()
        with self._changed:
            threads = tuple(self._threads)
        for thread in threads:
            thread.join(timeout)

    def _work_off(self, owner: str) -> None:
        while (head := self._head(owner)) is not None:
            due, work = head
            if self._closing.wait(max(0.0, due - time.monotonic())):
                return
            try:
                work()
            except Exception:
                log.exception("The change of state of %s failed", owner)

    def _head(self, owner: str) -> tuple[float, Callable[[], None]] | None:
        with self._changed:
            queue = self._queues[owner]
            if queue:
                return queue.popleft()
            del self._queues[owner]
            self._threads.discard(threading.current_thread())
            self._changed.notify_all()
            return None
