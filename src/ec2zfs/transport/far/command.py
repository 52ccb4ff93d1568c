"""The one command of an end: the pipe that it writes or reads, and how it is ended."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
import subprocess

_PIPE_BYTES = 1 << 20
_SET_PIPE_SIZE = 1031  # fcntl.F_SETPIPE_SZ, which Python has from 3.10 on
_SET_PARENT_DEATH_SIGNAL = 1
_GRACE_SECONDS = 1.5
_ELSEWHERE_SECONDS = 5.0


class Command:
    """A command that runs in a session of its own; its standard error is ours.

    To be started by the main thread: when that is gone, however it went, the kernel kills the command (and not what the
    command itself has started, which only `end` reaches). `ending`: words of a program that ends what it does
    elsewhere.
    """

    def __init__(
        self, argv: tuple[str, ...], *, gives: bool, descriptor: int | None = None, ending: tuple[str, ...] = ()
    ) -> None:
        self._ending = ending
        outer = subprocess.DEVNULL if descriptor is None else descriptor
        libc = ctypes.CDLL(None)

        def die_with_us() -> None:
            libc.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)

        self._process = subprocess.Popen(
            list(argv),
            stdin=outer if gives else subprocess.PIPE,
            stdout=subprocess.PIPE if gives else outer,
            bufsize=0,
            start_new_session=True,
            preexec_fn=die_with_us,  # noqa: PLW1509 - no thread of ours runs any code of Python's in the child
        )
        self._pipe = self._process.stdout if gives else self._process.stdin
        with contextlib.suppress(OSError):  # fewer turns; the kernel may refuse where a user has many pipes
            fcntl.fcntl(self.pipe, _SET_PIPE_SIZE, _PIPE_BYTES)

    @property
    def pipe(self) -> int:
        """Our end of its output or input."""
        if self._pipe is None:
            raise ValueError("the command has no pipe")
        return self._pipe.fileno()

    @property
    def status(self) -> int | None:
        """Its exit code (-n: by signal n), or None while it runs."""
        return self._process.poll()

    def wait(self, seconds: float) -> int | None:
        """Its exit code, or None when it has not ended in time."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return None

    def close(self) -> None:
        """Close our end of its pipe: of an input, it sees the end."""
        if self._pipe is not None:
            self._pipe.close()

    def end(self) -> None:
        """End it with all that it started, before its input is closed: it never takes a part for the whole.

        What it does elsewhere comes first: there, the end of the way looks like the end of the input.
        """
        if self._ending and self.status is None:
            self._end_elsewhere()
        self._signal(signal.SIGTERM)
        if self.wait(_GRACE_SECONDS) is None:
            self._signal(signal.SIGKILL)
            self.wait(_GRACE_SECONDS)

    def _end_elsewhere(self) -> None:
        quiet = subprocess.DEVNULL
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(
                list(self._ending), stdin=quiet, stdout=quiet, stderr=quiet, timeout=_ELSEWHERE_SECONDS, check=False
            )

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)
