"""A stage of a pipeline while it runs: its process, the end of what it says on stderr, and how it is ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from typing import IO

from ec2zfs.hosts import process
from ec2zfs.hosts.faults import missing_tool
from ec2zfs.hosts.halting import undisturbed
from ec2zfs.hosts.host import Stage

_KEPT = 64 << 10
PIPE_VICTIMS = frozenset({-signal.SIGPIPE, 128 + signal.SIGPIPE})
"""How a process ends whose output nobody reads any more, here and over ssh."""


class Running:
    """One stage: its input (unless it has none) and output are pipes of ours, but the last one's output is dropped.

    `argv` is what the stage's host makes of its command. Where there is no pipe of ours the stage's own descriptor
    takes its place; where there are two, it is inherited.
    """

    def __init__(self, stage: Stage, argv: Sequence[str], *, fed: bool, heard: bool) -> None:
        self.stage = stage
        self.argv = tuple(argv)
        outer = subprocess.DEVNULL if stage.descriptor is None else stage.descriptor
        try:
            self._process = process.start(
                self.argv,
                stdin=subprocess.PIPE if fed else outer,
                stdout=subprocess.PIPE if heard else outer,
                stderr=subprocess.PIPE,
                inherited=() if stage.descriptor is None else (stage.descriptor,),
            )
        except FileNotFoundError as error:
            raise missing_tool(stage.host.name, self.argv[0]) from error
        except PermissionError as error:
            raise stage.host.explain(stage.command, process.NOT_EXECUTABLE, str(error).encode()) from error
        self._said = bytearray()
        os.set_blocking(_number(self._process.stderr), False)

    @property
    def name(self) -> str:
        """How errors call it."""
        return f"`{self.stage.command.argv[0]}` on {self.stage.host.name}"

    @property
    def input(self) -> int:
        """Our end of the pipe that it reads."""
        return _number(self._process.stdin)

    @property
    def output(self) -> int:
        """Our end of the pipe that it writes."""
        return _number(self._process.stdout)

    @property
    def errors(self) -> int | None:
        """Our end of the pipe on which it complains; None once it has closed that."""
        stream = self._process.stderr
        return None if stream is None or stream.closed else stream.fileno()

    @property
    def status(self) -> int | None:
        """Its exit code (-n for signal n), or None while it runs."""
        return self._process.poll()

    @property
    def failed(self) -> bool:
        """Whether it ended, and not well."""
        return self.status is not None and self.status not in self.stage.command.accept

    @property
    def pipe_victim(self) -> bool:
        """Whether it ended because nobody read its output any more."""
        return self.status in PIPE_VICTIMS

    @property
    def said(self) -> bytes:
        """The end of what it printed on stderr."""
        return bytes(self._said)

    def explained(self) -> Exception:
        """What its failure means."""
        self.hear()
        return self.stage.host.explain(self.stage.command, self.status or 0, self.said)

    def hear(self) -> None:
        """Take in what it has printed on stderr up to now."""
        with contextlib.suppress(BlockingIOError):
            while self.errors is not None:
                part = os.read(self.errors, _KEPT)
                if not part:
                    _close(self._process.stderr)
                self._said += part
                del self._said[:-_KEPT]

    def finish_input(self) -> None:
        """Let it see the end of its input."""
        _close(self._process.stdin)

    def terminate(self) -> None:
        """Ask its local process group to end."""
        process.kill(self._process, signal.SIGTERM)

    def kill(self) -> None:
        """Kill its local process group: it, or whoever it has left that did not heed."""
        process.kill(self._process, signal.SIGKILL)

    def reap(self, seconds: float) -> None:
        """Wait for its end, but no longer than that."""
        process.reap(self._process, seconds)

    def close(self) -> None:
        """Close our ends of its pipes."""
        process.close(self._process)


def end_all(running: Sequence[Running]) -> None:
    """End what still runs, readers first and on all hosts, before any of our pipe ends is closed.

    So no reader takes the end of an aborted stream for the end of a good one.
    """
    with undisturbed():
        _end_all(running)


def _end_all(running: Sequence[Running]) -> None:
    alive = [stage for stage in reversed(running) if stage.status is None]
    try:
        for stage in alive:
            stage.stage.host.end(stage.argv)
            stage.terminate()
    finally:
        deadline = time.monotonic() + process.GRACE_SECONDS
        for stage in alive:
            stage.reap(max(0.0, deadline - time.monotonic()))
            stage.kill()  # at once: later its number may be another's
        for stage in alive:
            stage.reap(process.GRACE_SECONDS)


def _number(stream: IO[bytes] | None) -> int:
    if stream is None:
        raise ValueError("there is no pipe of ours at this end")
    return stream.fileno()


def _close(stream: IO[bytes] | None) -> None:
    if stream is not None:
        with contextlib.suppress(OSError):
            stream.close()
