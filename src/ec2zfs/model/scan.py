"""A scrub or resilver as `zpool status` tells of the last one. Decides what counts as a clean one; touches nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ScanFunction(StrEnum):
    """What the pool was read for."""

    SCRUB = "scrub"
    RESILVER = "resilver"


class ScanState(StrEnum):
    """How it stands; a paused one is a scrub."""

    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    CANCELED = "canceled"


@dataclass(frozen=True)
class Scan:
    """The last scan of a pool, which is the only one that ZFS remembers. Times are UTC.

    `at`: when it began (running), paused or ended. `issued` of `total` bytes are done; ZFS counts them while it runs.
    `seconds_left` is ZFS's own guess, None while it makes none. `errors`: what it could not repair, once it ended.
    """

    function: ScanFunction
    state: ScanState
    at: datetime | None = None
    issued: int = 0
    total: int = 0
    seconds_left: int | None = None
    errors: int = 0
    line: str = ""

    @property
    def running(self) -> bool:
        """Whether it is under way now; a paused one is not."""
        return self.state is ScanState.RUNNING

    @property
    def clean_scrub(self) -> datetime | None:
        """When it ended, if it is a scrub that found nothing that it could not repair."""
        clean = self.function is ScanFunction.SCRUB and self.state is ScanState.FINISHED and not self.errors
        return self.at if clean else None
