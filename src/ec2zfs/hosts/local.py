"""The machine on which we run, as a host. Runs commands as this user, or as root through sudo; touches nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from ec2zfs.errors import CommandTimeout, Ec2zfsError
from ec2zfs.hosts import job
from ec2zfs.hosts.faults import explained, missing_tool
from ec2zfs.hosts.host import Command, Result
from ec2zfs.hosts.process import NOT_EXECUTABLE, execute
from ec2zfs.hosts.spoken import tell

_END_SECONDS = 5.0


class LocalHost:
    """This machine. `sudo`: every command runs as root through `sudo -n`."""

    def __init__(self, name: str = "localhost", *, sudo: bool = False) -> None:
        self._name = name
        self._sudo = sudo

    @property
    def name(self) -> str:
        """What the operator calls it."""
        return self._name

    def run(self, command: Command) -> Result:
        """Run to the end; see `Host.run`."""
        argv = self.exec_argv(command)
        try:
            ending = execute(argv, command.stdin, command.timeout, lambda: self.end(argv))
        except FileNotFoundError as error:
            raise missing_tool(self.name, argv[0]) from error
        except PermissionError as error:
            raise self.explain(command, NOT_EXECUTABLE, str(error).encode()) from error
        if ending.status is None:
            raise CommandTimeout(self.name, command.argv, command.timeout or 0)
        if ending.status not in command.accept:
            raise self.explain(command, ending.status, ending.stderr)
        return Result(ending.status, ending.stdout, ending.stderr)

    def exec_argv(self, command: Command) -> Sequence[str]:
        """The command itself, or the command behind sudo."""
        tell(self.name, command.argv)
        return job.as_root(command.argv, job.new_mark()) if self._sudo else command.argv

    def end(self, argv: Sequence[str]) -> None:
        """End what runs behind sudo; all else dies with its process group."""
        if self._sudo and (killing := job.ending(argv)):
            with contextlib.suppress(OSError):
                execute(("sudo", "-n", "--", *killing), None, _END_SECONDS, _nothing)

    def explain(self, command: Command, status: int, stderr: bytes) -> Ec2zfsError:
        """The error that the command's failure means."""
        return explained(self.name, command, status, stderr)


def _nothing() -> None:
    """Nothing more to end."""
