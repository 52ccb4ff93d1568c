"""Asks the operator to type a name before something is destroyed that nothing brings back."""

from __future__ import annotations

import shlex
import sys

from ec2zfs.errors import Refused


def confirm(deed: str, name: str, given: str | None, *, kind: str = "pool") -> None:
    """Raise `Refused` unless `given`, or else what is typed at the terminal, is the name of the `kind` of thing."""
    if given is None:
        if not sys.stdin.isatty():
            raise Refused(
                f"To {deed} has to be confirmed.", hint=f"Add `--confirm {shlex.quote(name)}` if you mean it."
            )
        print(f"This will {deed}. Type the {kind}'s name to go on: ", end="", file=sys.stderr, flush=True)
        given = sys.stdin.readline().strip()
    if given != name:
        raise Refused(f"'{given}' is not {name}; nothing was done.")
