"""Starts and ends processes on this machine; everything in hosts/ goes through here.

Each process leads a session of its own, so that a Ctrl-C at the terminal reaches the controller alone, which then ends
its processes in order, and so that no ssh can ask questions on the terminal. Knows nothing of hosts or of what runs.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO

from ec2zfs.hosts.halting import TICK_SECONDS, heed, obeyed, undisturbed
from ec2zfs.hosts.secret import Secret
from ec2zfs.hosts.shelter import sheltered

SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where zfs and cryptsetup stand, which a user's PATH often lacks."""

GRACE_SECONDS = 3.0
"""How long a process may take to end on SIGTERM before SIGKILL."""

_REAPING_SECONDS = 1.0
"""How long it may take to reap one that has ended, when another thread is about to."""

NOT_EXECUTABLE = 126
"""The exit code that a shell gives for a file that is no program."""

Process = subprocess.Popen[bytes]


@dataclass(frozen=True)
class Ending:
    """How a process ended; `status` is None when it was killed for its time limit."""

    status: int | None
    stdout: bytes
    stderr: bytes


def environment() -> dict[str, str]:
    """Our environment in the C locale (that tools are parsed in), with sbin in PATH and no ssh question windows."""
    inherited = {name: value for name, value in os.environ.items() if name != "LANGUAGE" and not name.startswith("LC_")}
    path = inherited.get("PATH", os.defpath).split(os.pathsep)
    wanted = [*path, *(directory for directory in SBIN if directory not in path)]
    return inherited | {
        "LC_ALL": "C",
        "LANG": "C",
        "PATH": os.pathsep.join(wanted),
        "SSH_ASKPASS_REQUIRE": "never",
    }


def start(
    argv: Sequence[str], *, stdin: int, stdout: int, stderr: int | IO[bytes], inherited: Sequence[int] = ()
) -> Process:
    """Start a process as the leader of its own session; of our other descriptors it has the `inherited` ones alone.

    Raises FileNotFoundError when there is no such program, PermissionError when a file that was named by its path is
    none. To be called `sheltered` where an interrupt must end it.
    """
    try:
        return subprocess.Popen(
            list(argv),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            bufsize=0,
            env=environment(),
            start_new_session=True,
            pass_fds=inherited,
        )
    except PermissionError as error:
        if "/" in argv[0]:
            raise
        # A directory of PATH that we may not search, and the program in no other.
        raise FileNotFoundError(argv[0]) from error


def execute(
    argv: Sequence[str], stdin: bytes | Secret | None, seconds: float | None, end: Callable[[], None]
) -> Ending:
    """Run a process to its end.

    Past `seconds`, or on any exception (Ctrl-C, `Halted`), `end` is called first and then the process is ended with its
    group: by SIGTERM, on which a script may tidy up, then by SIGKILL.
    """
    heed()
    data = stdin.reveal() if isinstance(stdin, Secret) else stdin
    source = subprocess.DEVNULL if data is None else subprocess.PIPE
    process: Process | None = None
    try:
        with sheltered():
            process = start(argv, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        stdout, stderr = _heard(process, data, math.inf if seconds is None else seconds)
        return Ending(process.returncode, stdout, stderr)
    except subprocess.TimeoutExpired as expired:
        _end_both(process, end)
        return Ending(None, expired.output or b"", expired.stderr or b"")
    except BaseException:
        _end_both(process, end)
        raise


def _heard(process: Process, data: bytes | None, seconds: float) -> tuple[bytes, bytes]:
    """What it prints until its end, in time or `subprocess.TimeoutExpired`.

    Python 3.11 cannot go on with an input after it has looked up, so what is given one is not halted before its time.
    """
    if data is not None or not obeyed():
        return process.communicate(data, timeout=None if seconds == math.inf else seconds)
    deadline = time.monotonic() + seconds
    while True:
        left = deadline - time.monotonic()
        try:
            return process.communicate(timeout=max(0.0, min(TICK_SECONDS, left)))
        except subprocess.TimeoutExpired:
            if left <= TICK_SECONDS:
                raise
        heed()


def _end_both(process: Process | None, end: Callable[[], None]) -> None:
    if process is None:
        return
    with undisturbed():
        try:
            end()
        finally:
            _end(process)


def _end(process: Process) -> None:
    kill(process, signal.SIGTERM)
    reap(process, GRACE_SECONDS)
    kill(process, signal.SIGKILL)
    reap(process, GRACE_SECONDS)
    close(process)


def kill(process: Process, number: signal.Signals) -> None:
    """Send a signal to a process that we started and to all of its group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def reap(process: Process, seconds: float) -> bool:
    """Wait for the end of a process, but no longer: one that hangs in the kernel must not hang us.

    Linux 5.3 and later tell of the end at once; `Popen.wait`, with a time limit, looks every 50 ms.
    """
    if process.poll() is not None:
        return True
    with contextlib.suppress(OSError):  # an older Linux, or no descriptor is left
        seconds = _REAPING_SECONDS if _ended(process.pid, seconds) else 0.0
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _ended(number: int, seconds: float) -> bool:
    """Whether a process ends in time. It is not reaped by that."""
    descriptor = os.pidfd_open(number)
    try:
        end = select.poll()
        end.register(descriptor, select.POLLIN)
        return bool(end.poll(seconds * 1000))
    finally:
        os.close(descriptor)


def close(process: Process) -> None:
    """Close our ends of the pipes of a process."""
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
