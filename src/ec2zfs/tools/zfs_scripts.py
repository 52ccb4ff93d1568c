"""How the shell scripts of replication (zfs_*.sh beside this) run: several steps of `zfs` in one execution, the text in
argv and the arguments as words. Nothing is ever pasted into a script's text.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.resources import files

from ec2zfs.hosts.host import Command


def zfs_script(name: str, *arguments: str, stdin: Iterable[str] = (), timeout: float = 300.0) -> Command:
    """The command that runs a script of this folder (`zfs_mark.sh`) with the arguments as `$1`, `$2`, …

    `stdin` are the lines that it reads, `timeout` is in seconds.
    """
    lines = "".join(f"{line}\n" for line in stdin).encode("utf-8", "surrogateescape")
    return Command(("sh", "-c", script_text(name), name, *arguments), lines or None, timeout)


SIDE_BY_SIDE = ("xargs", "-0", "-r", "-n", "1", "-P", "8")
"""Each change waits for its transaction group, and so several wait for the same one."""


def side_by_side(name: str, *arguments: str, items: Iterable[str], timeout: float) -> Command:
    """The command that runs a script for each item, eight at a time, with the arguments and the item as its words."""
    stdin = "".join(f"{item}\0" for item in items).encode("utf-8", "surrogateescape")
    return Command((*SIDE_BY_SIDE, "sh", "-c", script_text(name), name, *arguments), stdin, timeout)


@cache
def script_text(name: str) -> str:
    """The text of a script of this folder."""
    return (files("ec2zfs.tools") / name).read_text("utf-8")
