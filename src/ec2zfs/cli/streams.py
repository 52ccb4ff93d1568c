"""stdout and stderr that cannot break the work: a reader that goes away, a closed terminal or a full disk ends the
printing and nothing else. A backup must lock and stop the receiver also when nobody can be told of it any more.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast


class Lasting:
    """A text stream whose writing never fails; `failure` is the first error, after which all goes nowhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.failure: OSError | None = None

    def write(self, text: str) -> int:
        """Write if it can be."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        """Flush if it can be."""
        try:
            self._stream.flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Turn the descriptor to nowhere, so that what is still buffered goes there, and rich too."""
        self.failure = self.failure or error
        with contextlib.suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever else a stream has
        return getattr(self._stream, name)


@contextmanager
def lasting_streams() -> Iterator[Lasting]:
    """Make stdout and stderr lasting for a `with` block; gives stdout, flushed when the block has ended."""
    before = sys.stdout, sys.stderr
    out, err = Lasting(before[0]), Lasting(before[1])
    sys.stdout, sys.stderr = cast("TextIO", out), cast("TextIO", err)
    try:
        yield out
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = before
