"""What the demonstration does on the lab's machines beside `ec2zfs`: programs over ssh."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from importlib import resources

from ec2zfs.lab.client import LabClient
from ec2zfs.lab.demo.operator import DemonstrationFailed
from ec2zfs.lab.description import LabDescription
from ec2zfs.lab.login import login_argv

SITE = "site"
LIMIT_SECONDS = 600


@dataclass(frozen=True)
class Machines:
    """The machines of a running lab, by name: `site` or an instance id."""

    lab: LabDescription

    def running(self) -> list[str]:
        """The ids of the instances that run."""
        instances = LabClient(self.lab.endpoint).status()["instances"]
        return [str(each["id"]) for each in instances if each["state"] == "running"]

    def running_instance(self) -> str:
        """The id of the one instance that runs."""
        running = self.running()
        if len(running) != 1:
            raise DemonstrationFailed(f"One instance should run, but these do: {running}.")
        return running[0]

    def run(self, machine: str, *words: str, program: str = "") -> str:
        """Run a command as root, with one of programs/ as its standard input; returns what it printed."""
        source = resources.files("ec2zfs.lab.demo.programs").joinpath(program).read_bytes() if program else b""
        argv = login_argv(self.lab, machine, ("sudo", *words))
        result = subprocess.run(argv, input=source, capture_output=True, check=False, timeout=LIMIT_SECONDS)
        if result.returncode:
            said = result.stderr.decode("utf-8", "replace").strip()
            raise DemonstrationFailed(f"On {machine}, `{' '.join(words[:4])}` failed: {said[-800:]}")
        return result.stdout.decode("utf-8", "surrogateescape")

    def manifest(self, machine: str, *directories: str) -> list[str]:
        """One line for everything below each directory of a machine: see programs/manifest.py."""
        return self.run(machine, "python3", "-", *directories, program="manifest.py").splitlines()
