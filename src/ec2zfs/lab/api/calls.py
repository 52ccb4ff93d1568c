"""Which calls the API got: a count for each action and a log. Observes only."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass, field

KEPT = 10_000


@dataclass(frozen=True)
class Call:
    """One call. `at`: seconds since the epoch; `seconds`: how long it took; `error`: the error code, else empty."""

    at: float
    service: str
    action: str
    status: int
    seconds: float
    error: str = ""


@dataclass
class Calls:
    """The calls since the start or the last `reset()`; the log keeps the latest 10,000."""

    _log: deque[Call] = field(default_factory=lambda: deque(maxlen=KEPT))
    _counts: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def record(self, call: Call) -> None:
        """Add a call."""
        with self._lock:
            self._counts[call.action] += 1
            self._log.append(call)

    def counts(self) -> dict[str, int]:
        """How often each action was called, retries included: `{"CreateVolume": 40, …}`."""
        with self._lock:
            return dict(self._counts)

    def log(self) -> tuple[Call, ...]:
        """The calls, oldest first."""
        with self._lock:
            return tuple(self._log)

    def reset(self) -> None:
        """Begin to count anew."""
        with self._lock:
            self._counts.clear()
            self._log.clear()
