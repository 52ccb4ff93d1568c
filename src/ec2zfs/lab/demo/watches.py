"""Watches: which processes run on a machine, and what its journal says, kept on the controller while it happens.

The controller and the site are watched from the beginning; an instance at each of its boots, as soon as it answers and
whoever started it. On the machines nothing is changed: what a watch left there ends with its connection.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from ec2zfs.errors import Ec2zfsError
from ec2zfs.lab.demo.machines import SITE
from ec2zfs.lab.demo.operator import DemonstrationFailed
from ec2zfs.lab.description import LabDescription
from ec2zfs.lab.login import login_argv

CONTROLLER = "controller"
BEGIN_SECONDS = 180.0
_POLL = 0.5
# Standard error carries the journal: one connection for both, since each costs the guest a second.
_WATCHER = "journalctl --boot --output cat --no-tail --follow >&2 & exec python3 -"
# A guest that still boots takes a connection and is silent; the next attempt is to find it as soon as it answers.
_IMPATIENT = ("-o", "ConnectTimeout=4")


@dataclass(frozen=True)
class Record:
    """What is written down of a machine in one of its boots (counted from 1)."""

    directory: Path
    machine: str
    boot: int = 1

    @property
    def processes(self) -> Path:
        """The argv and environment of every process: see programs/watch_processes.py."""
        return self.directory / f"processes-{self.machine}-{self.boot}"

    @property
    def journal(self) -> Path:
        """The journal of the boot; of the controller nothing but what its watcher complains of."""
        return self.directory / f"journal-{self.machine}-{self.boot}.log"


class Watches:
    """All watches. `argv` makes a watcher of a machine, `running` names the instances that run."""

    def __init__(
        self, directory: Path, argv: Callable[[str], Sequence[str]], running: Callable[[], Iterable[str]]
    ) -> None:
        self._directory = directory
        self._argv = argv
        self._running = running
        self._boots: Counter[str] = Counter()
        self._up: frozenset[str] = frozenset()
        self._watchers: dict[str, _Watcher] = {}
        self._ending = threading.Event()
        self._attendant = threading.Thread(target=self._attend, name="watches", daemon=True)

    def begin(self) -> None:
        """Watch the controller and the site, and from now on every instance that comes up."""
        for machine in (CONTROLLER, SITE):
            self._boots[machine] = 1
            self._watch(machine)
            self.wait_for(machine)
        self._attendant.start()

    def wait_for(self, machine: str, seconds: float = BEGIN_SECONDS) -> None:
        """Return when the machine is really watched. Raises `DemonstrationFailed` when that takes too long."""
        deadline = time.monotonic() + seconds
        while not (watcher := self._watchers.get(machine)) or not watcher.sees():
            if time.monotonic() > deadline:
                said = watcher.complaint() if watcher else "no login to it was possible"
                raise DemonstrationFailed(f"The processes of {machine} are not watched after {seconds:g} s: {said}")
            time.sleep(_POLL)

    def end(self) -> None:
        """End all watches; the records are complete. Once more changes nothing."""
        self._ending.set()
        if self._attendant.is_alive():
            self._attendant.join()
        for watcher in self._watchers.values():
            watcher.end()

    def _attend(self) -> None:
        while not self._ending.wait(_POLL):
            # An instance that does not answer yet, or goes down just now: the next look tells.
            with suppress(Ec2zfsError, OSError):
                self._look()

    def _look(self) -> None:
        up = frozenset(self._running())
        for machine in up - self._up:
            self._boots[machine] += 1
            if before := self._watchers.pop(machine, None):
                before.end()  # it may still wait for the machine that was shut down
        self._up = up
        for machine in up:
            watcher = self._watchers.get(machine)
            if watcher is None or watcher.ended():
                self._watch(machine)

    def _watch(self, machine: str) -> None:
        self._watchers[machine] = _Watcher(self._argv(machine), Record(self._directory, machine, self._boots[machine]))


class _Watcher:
    """A process that watches one machine."""

    def __init__(self, argv: Sequence[str], record: Record) -> None:
        self._record = record
        program = resources.files("ec2zfs.lab.demo.programs").joinpath("watch_processes.py")
        with (
            resources.as_file(program) as path,
            path.open("rb") as source,
            record.processes.open("ab") as processes,
            record.journal.open("ab") as journal,
        ):
            self._before = record.processes.stat().st_size
            self._process = subprocess.Popen(argv, stdin=source, stdout=processes, stderr=journal)

    def sees(self) -> bool:
        """Whether it runs and has written down what it saw first."""
        return not self.ended() and self._record.processes.stat().st_size > self._before

    def ended(self) -> bool:
        """Whether it runs no more."""
        return self._process.poll() is not None

    def complaint(self) -> str:
        """The last that was heard of it beside the record."""
        return self._record.journal.read_text(errors="replace")[-300:].strip() or "it is silent"

    def end(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()


def watcher_argv(lab: LabDescription, machine: str) -> list[str]:
    """What reads watch_processes.py and runs it on a machine; `controller` is where we are. Raises `Refused`."""
    if machine == CONTROLLER:
        return [sys.executable, "-"]
    ssh, *words = login_argv(lab, machine, ("sudo", "sh", "-c", _WATCHER))
    return [ssh, *_IMPATIENT, *words]
