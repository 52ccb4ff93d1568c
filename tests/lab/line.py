"""`ec2zfs` whose streams go through a line that is cut: `python -m tests.lab.line FD CUTS BYTES PACE WORDS…`.

What happens is told on the descriptor FD: `secret` with each transfer's own, and `cut`. See tests/contract/line.py.
"""

from __future__ import annotations

import os
import secrets
import sys
from functools import partial
from types import SimpleNamespace
from unittest.mock import patch

from tests.contract.line import Line

from ec2zfs.transport import direct
from ec2zfs.transport.direct import DirectTransport


def main(descriptor: int, cuts: int, after: int, pace: int, words: list[str]) -> int:
    """Be `ec2zfs` behind a line."""
    from ec2zfs.cli import connections
    from ec2zfs.cli import main as ec2zfs

    def tell(what: str) -> None:
        os.write(descriptor, f"{what}\n".encode())

    def told_secret(size: int) -> bytes:
        made = secrets.token_bytes(size)
        tell(f"secret {made.hex()}")
        return made

    line = Line(cuts, after, tell, pace)
    with (
        patch.object(direct, "secrets", SimpleNamespace(token_bytes=told_secret)),
        patch.object(connections, "DirectTransport", partial(DirectTransport, reached=line.reached)),
    ):
        return ec2zfs(words)


if __name__ == "__main__":
    told, cuts, after, pace = map(int, sys.argv[1:5])
    sys.exit(main(told, cuts, after, pace, sys.argv[5:]))
