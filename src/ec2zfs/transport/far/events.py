"""What an end tells its controller: one JSON object a line on standard output, each with its `event`."""

from __future__ import annotations

import contextlib
import json
import sys
import threading


class Events:
    """Safe for several threads. That nobody listens any more is learned from standard input, not here."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def tell(self, event: str, **facts: str | int | None) -> None:
        """Tell one event with its facts."""
        line = json.dumps({"event": event, **facts}) + "\n"
        with self._lock, contextlib.suppress(OSError, ValueError):
            sys.stdout.write(line)
            sys.stdout.flush()
