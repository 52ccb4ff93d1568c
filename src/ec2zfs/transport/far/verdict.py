"""How an end of the stream ended, and why: the first cause counts, for what comes after is its consequence."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import Enum

from ec2zfs.transport.far.frames import LONGEST_TEXT


class Cause(Enum):
    """Why an end ended. The value is its name in events; `code`, the exit code of the program."""

    DONE = "done"
    COMMAND = "command"
    EARLY = "early"
    MISSING = "missing"
    PEER = "peer"
    LINE = "line"
    GAVE_NOTHING = "gave no data"
    TOOK_NOTHING = "took no data"
    LIMIT = "limit"
    ORPHAN = "orphan"
    SIGNAL = "signal"
    UNFIT = "unfit"

    @property
    def code(self) -> int:
        """Exit code: 0 for DONE alone, and another for each of the others."""
        return list(Cause).index(self)


@dataclass(frozen=True)
class Outcome:
    """`text` is a sentence for people; `status`, the exit code of the command (-n: by signal n), if it ended."""

    cause: Cause
    text: str = ""
    status: int | None = None

    @property
    def told(self) -> bytes:
        """The sentence as the other end hears it."""
        return self.text.encode()[:LONGEST_TEXT]


class Verdict:
    """The one outcome of an end, which any of its threads may settle and the main thread awaits."""

    def __init__(self) -> None:
        self._settled = threading.Event()
        self._lock = threading.Lock()
        self._outcome: Outcome | None = None

    @property
    def outcome(self) -> Outcome | None:
        """None as long as the stream goes on."""
        return self._outcome

    def settle(self, outcome: Outcome) -> None:
        """Make this the outcome, unless there is one already."""
        with self._lock:
            self._outcome = self._outcome or outcome
        self._settled.set()

    def wait(self, seconds: float) -> Outcome | None:
        """The outcome, once there is one, or None when the time is over."""
        self._settled.wait(seconds)
        return self._outcome
