"""The processes of a directory: a machine's QEMU started, recognised again, ended; and whatever else names it.

A process is a machine's only when /proc says that it is a QEMU with a pid file of that machine's directory: process ids
are used again, and a stranger's process must never be ended. The command line is there before the pid file is written,
so that a QEMU whose maker was killed in between is found as well.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from ec2zfs.errors import MissingTool
from ec2zfs.lab.machines.qemu import Files
from ec2zfs.lab.machines.qmp import MachineError

Words = list[bytes]
"""A command line, as /proc has it."""

START_LIMIT = 60.0
DEATH_LIMIT = 10.0


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
    except (FileNotFoundError, ValueError):
        return None
    return number if _pid_file(command_line(number)) == files.pid else None


def kill(files: Files) -> None:
    """SIGKILL the machine's QEMU, if it runs, and wait until it is gone (at most `DEATH_LIMIT` seconds)."""
    _kill(lambda pid_file: pid_file == files.pid)


def kill_below(directory: Path) -> None:
    """SIGKILL every QEMU whose pid file lies, or will lie, below the directory, and wait until they are gone."""
    _kill(lambda pid_file: directory in pid_file.parents)


def processes_of(directory: Path) -> list[int]:
    """This user's processes whose command line names the directory, or a path in it; not we, nor who started us."""
    # Not /var/tmp/lab-10 for /var/tmp/lab-1.
    name = re.compile(re.escape(os.fsencode(directory)) + rb"(?![\w.-])")
    ours = _ancestors()
    return [number for number in running(lambda words: any(map(name.search, words))) if number not in ours]


def running(wanted: Callable[[Words], bool]) -> list[int]:
    """This user's processes whose command lines are wanted."""
    return sorted(number for number in _numbers() if wanted(command_line(number)))


def command_line(number: int) -> Words:
    """The words of a process's command line, none when it is gone or not ours to look at."""
    try:
        return Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def send(number: int, signal_number: int, wanted: Callable[[Words], bool]) -> None:
    """Send a signal to a process, if it is still wanted when we have a handle on it.

    Between the look and the signal its number could become somebody else's.
    """
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(number)
        try:
            if wanted(command_line(number)):
                signal.pidfd_send_signal(handle, signal_number)
        finally:
            os.close(handle)


def _kill(ours: Callable[[Path], bool]) -> None:
    def wanted(words: Words) -> bool:
        pid_file = _pid_file(words)
        return pid_file is not None and ours(pid_file)

    deadline = time.monotonic() + DEATH_LIMIT
    # Until none is found: one that goes to the background just now leaves a child that was not there at the first look.
    while numbers := running(wanted):
        if time.monotonic() > deadline:
            raise MachineError(f"QEMU (process {numbers[0]}) does not die.")
        for number in numbers:
            send(number, signal.SIGKILL, wanted)
        time.sleep(0.02)


def _numbers() -> Iterator[int]:
    """This user's processes: another's can claim any path in its command line."""
    for entry in Path("/proc").iterdir():
        with suppress(FileNotFoundError):  # it has just ended
            if entry.name.isdigit() and entry.stat().st_uid == os.getuid():
                yield int(entry.name)


def _pid_file(words: Words) -> Path | None:
    """The argument of -pidfile, when it is a QEMU's."""
    # Whoever looks for one has the same words: grep, strace.
    if b"-pidfile" not in words or not Path(os.fsdecode(words[0])).name.startswith("qemu-system-"):
        return None
    after = words[words.index(b"-pidfile") + 1 :]
    return Path(os.fsdecode(after[0])) if after else None


def _ancestors() -> set[int]:
    """This process, the one that started it, and so on."""
    found, number = set[int](), os.getpid()
    while number:
        found.add(number)
        try:
            # proc(5): the parent is the second field after the name, which stands in parentheses and may hold any.
            number = int(Path(f"/proc/{number}/stat").read_bytes().rpartition(b")")[2].split()[1])
        except OSError:
            break
    return found
