"""Brings the lab up and takes it down: one background process, its machines, and one directory.

Ends only processes that /proc shows to be this directory's: the daemon by its command line, machines by theirs. What a
killed daemon left behind is found by the same files and removed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ec2zfs.errors import Ec2zfsError, Refused
from ec2zfs.hosts.keypair import ensure_keypair
from ec2zfs.lab.description import LabDescription, read
from ec2zfs.lab.machines import process, warm
from ec2zfs.lab.machines.qemu import Files
from ec2zfs.lab.paths import cache_directory, private

if TYPE_CHECKING:
    from ec2zfs.lab.daemon import Options

UP_LIMIT = 600.0
END_LIMIT = 90.0
_POLL = 0.1


class LabFailed(Ec2zfsError):
    """The lab did not come up; the sentence has the last lines of its log."""


def described(directory: Path) -> LabDescription | None:
    """The lab that is up in the directory, None when it is not."""
    return read(directory) if directory.is_dir() and daemon_pid(directory) is not None else None


def running(directory: Path) -> LabDescription:
    """The lab that is up in the directory. Raises `Refused` when it is not."""
    lab = described(directory)
    if lab is None:
        raise Refused(f"No lab is up in {directory}.", hint="Start it with `ec2zfs lab up`.")
    return lab


def up(directory: Path, options: Options, say: Callable[[str], None]) -> LabDescription:
    """Bring the lab up and wait until it is; one that is up already is returned as it is. `say` hears each step.

    Raises `Refused` when the image is not built, `LabFailed` when it does not come up.
    """
    _check_image()
    if daemon_pid(directory) is None:
        down(directory)
        private(directory)
        ensure_keypair(directory / "id_ed25519")
        _start(directory, options)
    return _await_up(directory, say)


def down(directory: Path) -> None:
    """End the daemon and every machine of the directory, and remove it. Nothing there is no error."""
    if not directory.is_dir():
        return
    private(directory)
    _end_daemon(directory)
    for machine in sorted((directory / "machines").glob("*")):
        process.kill(Files(machine))
    shutil.rmtree(directory)
    warm.sweep(cache_directory())


def daemon_pid(directory: Path) -> int | None:
    """The process id of the directory's daemon, None when it does not run."""
    try:
        number = int((directory / "daemon.pid").read_text())
        words = Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    return number if b"ec2zfs.lab.daemon" in words and os.fsencode(directory) in words else None


def _check_image() -> None:
    from ec2zfs.lab.image.build import find
    from ec2zfs.lab.image.recipe import recipe

    if find(recipe(), cache_directory()) is None:
        raise Refused("The lab's image is not built yet.", hint="Build it with `ec2zfs lab build`.")


def _start(directory: Path, options: Options) -> None:
    argv = [sys.executable, "-m", "ec2zfs.lab.daemon", str(directory), json.dumps(asdict(options))]
    # The operator's own AWS profile, or settings of moto, must not change what the lab is.
    apart = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MOTO_"))}
    with (directory / "daemon.log").open("ab") as log:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=apart, check=False)
    if done.returncode != 0:
        raise _failed(directory)


def _await_up(directory: Path, say: Callable[[str], None]) -> LabDescription:
    deadline, told = time.monotonic() + UP_LIMIT, 0
    while True:
        alive, lab = daemon_pid(directory) is not None, read(directory)
        lines = _lines(directory / "progress")
        for line in lines[told:]:
            say(line)
        told = len(lines)
        if alive and lab:
            return lab
        if not alive or time.monotonic() > deadline:
            raise _failed(directory)
        time.sleep(_POLL)


def _failed(directory: Path) -> LabFailed:
    log = "\n".join(_lines(directory / "daemon.log")[-12:])
    return LabFailed(f"The lab in {directory} did not come up:\n{log}", hint="`ec2zfs lab down` clears it away.")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []


def _end_daemon(directory: Path) -> None:
    for number, patience in ((signal.SIGTERM, END_LIMIT), (signal.SIGKILL, END_LIMIT)):
        pid = daemon_pid(directory)
        if pid is None:
            return
        with suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            try:
                if daemon_pid(directory) == pid:
                    signal.pidfd_send_signal(handle, number)
            finally:
                os.close(handle)
        deadline = time.monotonic() + patience
        while daemon_pid(directory) is not None and time.monotonic() < deadline:
            time.sleep(_POLL)
    raise LabFailed(f"The daemon of the lab in {directory} does not end.")
