"""What the demonstration does on the lab's machines beside `ec2zfs`: programs over ssh, and process watches."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from ec2zfs.lab.client import LabClient
from ec2zfs.lab.demo.operator import DemonstrationFailed
from ec2zfs.lab.description import LabDescription
from ec2zfs.lab.login import login_argv

SITE = "site"
CONTROLLER = "controller"


@dataclass(frozen=True)
class Machines:
    """The machines of a running lab, by name: `site` or an instance id."""

    lab: LabDescription

    def running_instance(self) -> str:
        """The id of the one instance that runs."""
        running = [
            each["id"] for each in LabClient(self.lab.endpoint).status()["instances"] if each["state"] == "running"
        ]
        if len(running) != 1:
            raise DemonstrationFailed(f"One instance should run, but these do: {running}.")
        return str(running[0])

    def run(self, machine: str, *words: str, program: str = "") -> str:
        """Run a command as root, with one of programs/ as its standard input; returns what it printed."""
        source = _program(program) if program else b""
        argv = login_argv(self.lab, machine, ("sudo", *words))
        result = subprocess.run(argv, input=source, capture_output=True, check=False, timeout=300)
        if result.returncode:
            said = result.stderr.decode("utf-8", "replace").strip()
            raise DemonstrationFailed(f"On {machine}, `{' '.join(words[:4])}` failed: {said[-800:]}")
        return result.stdout.decode("utf-8", "surrogateescape")

    def manifest(self, machine: str, directory: str) -> list[str]:
        """One line for everything below a directory of a machine: see programs/manifest.py."""
        return self.run(machine, "python3", "-", directory, program="manifest.py").splitlines()


@dataclass
class Watches:
    """Records of every argv and environment, one file a machine, kept on the controller."""

    machines: Machines
    directory: Path
    _open: ExitStack = field(default_factory=ExitStack)

    def watch(self, machine: str) -> None:
        """Watch a machine until the end, or until it goes down; `controller` is where we run."""
        here = machine == CONTROLLER
        argv = [sys.executable, "-"] if here else login_argv(self.machines.lab, machine, ("sudo", "python3", "-"))
        self._open.enter_context(_recording(argv, self.directory / f"processes-{machine}"))

    def end(self) -> list[Path]:
        """End all watches and return the records."""
        self._open.close()
        return sorted(self.directory.glob("processes-*"))


@contextmanager
def _recording(argv: list[str], record: Path) -> Iterator[None]:
    with (
        record.open("ab") as output,
        subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.DEVNULL) as process,
    ):
        if process.stdin is None:
            raise AssertionError("Popen was asked for the pipe")
        process.stdin.write(_program("watch_processes.py"))
        process.stdin.close()
        try:
            yield
        finally:
            process.terminate()


def _program(name: str) -> bytes:
    return resources.files("ec2zfs.lab.demo.programs").joinpath(name).read_bytes()
