"""Runs a program on the operator's own terminal, such as an ssh login. The one case in which nothing is captured."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from ec2zfs.hosts.faults import missing_tool


def attended(argv: Sequence[str]) -> int:
    """Let the program have this terminal until it ends; its exit code, 128 + n for signal n.

    Raises `MissingTool` when it is not installed.
    """
    try:
        status = subprocess.call(list(argv))
    except FileNotFoundError as error:
        raise missing_tool("localhost", argv[0]) from error
    return status if status >= 0 else 128 - status
