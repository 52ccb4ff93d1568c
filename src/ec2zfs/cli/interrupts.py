"""Ctrl-C, SIGTERM and SIGHUP: the first ends the work so that its cleanup runs; a second does not cut that short.

A pool that is left open on a machine that is left running is worse than a wait, so only the third ends at once.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ec2zfs.hosts.shelter import interrupt

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE = b"ec2zfs: ending in good order. Once more leaves undone what is still to be locked or stopped.\n"


@contextmanager
def interruptible() -> Iterator[None]:
    """For the time of the block, which stands in the main thread, the signals raise KeyboardInterrupt: 1st and 3rd on.

    KeyboardInterrupt and not an error of ours, since `except Exception` must not stop it. A signal that our parent had
    us ignore (nohup) stays ignored.
    """
    heard = 0

    def hear(_number: int, _frame: FrameType | None) -> None:
        nonlocal heard
        heard += 1
        if heard == 1:
            interrupt()
        elif heard == 2:
            os.write(2, PATIENCE)  # print() may be what was interrupted
        else:
            raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in SIGNALS}
    mine = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    try:
        for number in mine:
            signal.signal(number, hear)
        yield
    finally:
        for number in mine:
            signal.signal(number, before[number])
