"""How long and how often we ask EC2 again. Decides numbers and sleeps; knows no API.

EC2 is eventually consistent: what was made a moment ago may be unknown to the next call (fact 14), and states change in
seconds. Tests hand in another `Patience`; nothing else is switched for them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ec2zfs.errors import CloudError

T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """Seconds between two looks, and seconds for which a new thing may be unknown to EC2's other calls."""

    poll_seconds: float = 2.0
    settle_seconds: float = 30.0

    def until(self, look: Callable[[], T | None], limit_seconds: float) -> T | None:
        """Look at once and then again until there is an answer; None when the limit has passed without one."""
        deadline = time.monotonic() + limit_seconds
        while (answer := look()) is None:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            time.sleep(min(self.poll_seconds, left))
        return answer

    def settled(self, call: Callable[[], T], *unknown: str) -> T:
        """Call again while EC2 answers with one of the codes `unknown`: a thing is too new to be known (fact 14).

        Raises the call's own `CloudError` at any other code, and when the time to settle has passed.
        """
        deadline = time.monotonic() + self.settle_seconds
        while True:
            try:
                return call()
            except CloudError as error:
                if error.code not in unknown or time.monotonic() >= deadline:
                    raise
            time.sleep(self.poll_seconds)
