"""Sends bytes of ours through a program on this machine and takes what comes out, whatever their number.

Two threads: one feeds, the calling one takes, so that neither the program nor we ever wait for the other's full pipe.
The program sees the end of its input only after all of it was given; on any fault it is ended first.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import IO

from ec2zfs.hosts import process
from ec2zfs.hosts.faults import missing_tool
from ec2zfs.hosts.local import LocalHost

_PIECE = 1 << 20
_SAID = 64 << 10


@dataclass(frozen=True)
class Filtered:
    """How the program ended: its exit code (-n for signal n), and the first 64 KiB of what it printed on stderr.

    `took_all` is whether all that there was for it went into its pipe.
    """

    status: int
    stderr: str
    took_all: bool


def run_filter(
    argv: Sequence[str], source: Iterable[bytes], sink: Callable[[bytes], object], inherited: Sequence[int] = ()
) -> Filtered:
    """Run the program over all that `source` gives; `sink` is called with each piece of its output, in order.

    The program has the `inherited` descriptors too. Raises what `source` and `sink` raise, once it has ended, and
    `MissingTool`.
    """
    with tempfile.TemporaryFile() as said:
        try:
            started = process.start(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, inherited=inherited
            )
        except FileNotFoundError as error:
            raise missing_tool(LocalHost().name, argv[0]) from error
        try:
            filtering = _Filter(started)
            status = filtering.carry(source, sink)
        finally:
            process.close(started)
        return Filtered(status, os.pread(said.fileno(), _SAID, 0).decode("utf-8", "replace"), filtering.took_all)


class _Filter:
    def __init__(self, started: process.Process) -> None:
        self._process = started
        self._fault: BaseException | None = None
        self.took_all = False
        for end in (started.stdin, started.stdout):
            with contextlib.suppress(OSError):  # the kernel refuses where a user has many pipes
                fcntl.fcntl(_there(end), fcntl.F_SETPIPE_SZ, _PIECE)

    def carry(self, source: Iterable[bytes], sink: Callable[[bytes], object]) -> int:
        feeder = threading.Thread(target=self._feed, args=(source,), daemon=True)
        feeder.start()
        try:
            while piece := os.read(_there(self._process.stdout).fileno(), _PIECE):
                sink(piece)
            status = self._process.wait()
        except BaseException:
            self._end()
            raise
        finally:
            feeder.join()
        if self._fault is not None:
            raise self._fault
        return status

    def _feed(self, source: Iterable[bytes]) -> None:
        stdin = _there(self._process.stdin)
        try:
            for piece in source:
                left = memoryview(piece)
                while left:
                    left = left[os.write(stdin.fileno(), left) :]
            self.took_all = True
        except BrokenPipeError:
            pass  # it has ended, and its exit code says why
        except BaseException as fault:  # noqa: BLE001 - raised again in the thread that asked
            self._fault = fault
            self._end()
        with contextlib.suppress(OSError):
            stdin.close()

    def _end(self) -> None:
        process.kill(self._process, signal.SIGKILL)
        process.reap(self._process, process.GRACE_SECONDS)


def _there(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # noqa: S101 - we made it a pipe
    return stream
