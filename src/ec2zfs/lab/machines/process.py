"""The QEMU process of one machine: started, recognised again, ended.

A process is this machine's only when /proc says that its command line names this machine's directory: process ids are
used again, and a stranger's process must never be ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from ec2zfs.errors import MissingTool
from ec2zfs.lab.machines.qemu import Files
from ec2zfs.lab.machines.qmp import MachineError

START_LIMIT = 60.0


def launch(argv: Sequence[str], files: Files) -> None:
    """Start QEMU, which goes to the background by itself when its devices stand; else MachineError with its words."""
    for stale in (files.pid, files.qmp):
        stale.unlink(missing_ok=True)
    log = files.directory / "qemu.log"
    # A file, not a pipe: what QEMU starts for a guest's connections would hold a pipe open.
    with log.open("wb") as sink:
        try:
            done = subprocess.run(
                argv, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, timeout=START_LIMIT, check=False
            )
        except FileNotFoundError as error:
            raise MissingTool(
                f"This machine has no `{argv[0]}`.", hint="Install the package qemu-system-x86."
            ) from error
        except subprocess.TimeoutExpired as error:
            raise MachineError(f"QEMU did not start within {START_LIMIT:g} s in {files.directory}.") from error
    if done.returncode != 0:
        raise MachineError(f"QEMU did not start in {files.directory}: {log.read_text(errors='replace').strip()}")


def pid(files: Files) -> int | None:
    """The process id of the machine's QEMU, or None when it does not run."""
    try:
        number = int(files.pid.read_text())
        words = Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    ours = [b"-pidfile", os.fsencode(files.pid)]
    return number if any(words[place : place + 2] == ours for place in range(len(words))) else None


def kill(files: Files, patience: float = 10.0) -> None:
    """SIGKILL the machine's QEMU, if it runs, and wait until it is gone (at most `patience` seconds)."""
    deadline = time.monotonic() + patience
    number = pid(files)
    if number is None:
        return
    # A handle on the process: between the look and the signal its number could become somebody else's.
    try:
        handle = os.pidfd_open(number)
    except ProcessLookupError:
        return
    try:
        if pid(files) == number:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        os.close(handle)
    while pid(files) is not None:
        if time.monotonic() > deadline:
            raise MachineError(f"QEMU (process {number}) of {files.directory} does not die.")
        time.sleep(0.01)
