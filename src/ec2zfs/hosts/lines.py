"""Reads what a command prints line by line while it runs, however much that is; its end is judged as any command's.

The command has no input. Whoever stops reading ends it.
"""

from __future__ import annotations

import os
import select
from collections.abc import Iterator

from ec2zfs.hosts.halting import TICK_SECONDS, heed
from ec2zfs.hosts.host import Command, Host, Stage
from ec2zfs.hosts.running import Running, end_all

_PIECE = 1 << 16


def printed_lines(host: Host, command: Command) -> Iterator[bytes]:
    """The lines of its standard output, without their ends. Its time limit does not apply.

    After the last line it raises what `Host.explain` says, if the command failed; `Halted` in a thread that is to end.
    """
    running = Running(Stage(host, command), host.exec_argv(command), fed=False, heard=True)
    try:
        rest = b""
        for piece in _pieces(running):
            *lines, rest = (rest + piece).split(b"\n")
            yield from lines
        if rest:
            yield rest
        while running.status is None:
            heed()
            running.reap(TICK_SECONDS)
        if running.failed:
            raise running.explained()
    finally:
        end_all([running])
        running.close()


def _pieces(running: Running) -> Iterator[bytes]:
    """What it prints as it comes. What it complains of is heard meanwhile, or it would wait for that for ever."""
    while True:
        heed()
        poll = select.poll()
        poll.register(running.output, select.POLLIN)
        if running.errors is not None:
            poll.register(running.errors, select.POLLIN)
        ready = {number for number, _ in poll.poll(TICK_SECONDS * 1000)}
        if running.errors in ready:
            running.hear()
        if running.output in ready:
            piece = os.read(running.output, _PIECE)
            if not piece:
                return
            yield piece
