"""The rate that all streams under way may have together, as it is at each moment, shared out equally among them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from ec2zfs.hosts.throttle import Rate
from ec2zfs.model.rate import RateRule
from ec2zfs.plan.rates import next_change, rate_at


class Limit:
    """Goes by `rule`. Safe for several threads; each stream asks anew again and again, so that changes reach it."""

    def __init__(self, rule: RateRule = RateRule(), now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:  # noqa: B008 - frozen
        self._rule = rule
        self._now = now
        self._lock = threading.Lock()
        self._streams = 0
        self._holds = (now(), now(), rule.rate)

    @contextmanager
    def stream(self) -> Iterator[Rate]:
        """For the time that a stream is under way: its share now, in bytes a second (None: no limit)."""
        with self._lock:
            self._streams += 1
        try:
            yield self._share
        finally:
            with self._lock:
                self._streams -= 1

    def _share(self) -> float | None:
        with self._lock:
            rate = self._rate()
            return None if rate is None else rate / max(1, self._streams)

    def _rate(self) -> float | None:
        """The rate now; the rule is asked only when it may have changed, or the clock was set."""
        since, until, rate = self._holds
        now = self._now()
        if not since <= now < until:
            rate = rate_at(self._rule, now)
            self._holds = (now, next_change(self._rule, now) or datetime.max.replace(tzinfo=UTC), rate)
        return rate
