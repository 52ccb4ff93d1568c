"""Tells each command that is about to run, to the logger `ec2zfs.commands`, for an operator who wants to see them.

Only argv is told, which never holds a secret; what goes to a command's standard input never is.
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Sequence

LOG = logging.getLogger("ec2zfs.commands")

_LONGEST_WORD = 200


def tell(host: str, argv: Sequence[str]) -> None:
    """Tell the command as one line that a shell would read; a script's text is cut."""
    if LOG.isEnabledFor(logging.DEBUG):
        LOG.debug("%s: %s", host, " ".join(map(_word, argv)))


def _word(word: str) -> str:
    cut = word.partition("\n")[0][:_LONGEST_WORD]
    return shlex.quote(word) if cut == word else f"{shlex.quote(cut)}…"
