"""Brings the lab up and takes it down: one background process, its machines, and one directory.

Ends only processes that /proc shows to be this directory's: the daemon by its command line, machines by theirs, so that
what a killed daemon left behind is found as well. Removes only a directory that a marker shows to be a lab's.
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
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ec2zfs.errors import Ec2zfsError, MissingTool, Refused
from ec2zfs.hosts.keypair import ensure_keypair
from ec2zfs.lab.description import LabDescription, read
from ec2zfs.lab.machines import process, warm
from ec2zfs.lab.paths import cache_directory, private, require_own

if TYPE_CHECKING:
    from ec2zfs.lab.daemon import Options

MARKER = ".ec2zfs-lab"
PACKAGES = {"moto": "moto[ec2,s3,server]", "qemu": "qemu-qmp"}
"""What the extra brings, by the module that is imported."""

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

    Raises `Refused` when the image is not built or the directory is not a lab's, `LabFailed` when it does not come up.
    """
    require_packages()
    _check_image()
    if daemon_pid(directory) is None:
        down(directory)
        private(directory)
        (directory / MARKER).write_text("`ec2zfs lab down` removes this directory with all that is in it.\n")
        ensure_keypair(directory / "id_ed25519")
        _start(directory, options)
    return _await_up(directory, say)


def down(directory: Path) -> None:
    """End the daemon and every machine of the directory, and remove it. Nothing there is no error.

    Raises `Refused`, and touches nothing, when the directory is not a lab's.
    """
    if directory.is_dir():
        _require_lab(directory)
    _end_daemon(directory)
    clear(directory)


def clear(directory: Path) -> None:
    """Kill every machine of a lab's directory, and remove it. Its daemon has ended, or is who calls."""
    process.kill_below(directory)
    if directory.is_dir():
        # The marker goes last: what remains when we are killed here must still be known as a lab's.
        for entry in directory.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != MARKER:
                entry.unlink()
        shutil.rmtree(directory)
    warm.sweep(cache_directory())


def daemon_pid(directory: Path) -> int | None:
    """The process id of the directory's daemon, None when it does not run."""
    try:
        number = int((directory / "daemon.pid").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return number if _is_daemon(directory, process.command_line(number)) else None


def _is_daemon(directory: Path, words: process.Words) -> bool:
    return b"ec2zfs.lab.daemon" in words and os.fsencode(directory) in words


def _require_lab(directory: Path) -> None:
    require_own(directory)
    if any(directory.iterdir()) and not (directory / MARKER).is_file():
        raise Refused(
            f"{directory} is not a lab's: it is not empty and has no file {MARKER}. Nothing in it was changed.",
            hint="Name a directory that is empty or does not exist yet, or the one that `ec2zfs lab up` was given.",
        )


def require_packages() -> None:
    """Raise `MissingTool` unless the Python packages of the `lab` extra are installed."""
    missing = [package for module, package in PACKAGES.items() if find_spec(module) is None]
    if missing:
        raise MissingTool(
            f"The local EC2 needs Python packages that are not installed here: {', '.join(missing)}.",
            hint="Install ec2zfs with its lab extra: `pipx install --force '.[lab]'`, or use `make demo`.",
        )


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
    # Not by daemon.pid: a daemon whose starter was killed has none, nor has a child of it that is about to be a QEMU.
    ours = partial(_is_daemon, directory)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in process.running(ours):
            process.send(pid, number, ours)
        deadline = time.monotonic() + END_LIMIT
        while process.running(ours):
            if time.monotonic() > deadline:
                break
            time.sleep(_POLL)
        else:
            return
    raise LabFailed(f"The daemon of the lab in {directory} does not end.")
