"""A far command whose end of the stream runs here: the relay for a site that opens no port and needs no way out."""

from __future__ import annotations

from collections.abc import Sequence

from ec2zfs.hosts.host import Command, Result
from ec2zfs.hosts.local import LocalHost
from ec2zfs.hosts.ssh import SshHost


class Relay:
    """This machine as the place of an end, in the name of the far `host`.

    `command` is what the end runs here: what carries `command` of the far host, such as `ssh site zfs send`; `ending`
    are the words that end it over there. One relay serves one transfer. When the end here is killed, the far command
    sees the end of its input, as when any ssh is.
    """

    def __init__(self, host: SshHost, command: Command) -> None:
        self._host = host
        self._here = LocalHost(host.name)
        self.command = Command(tuple(host.exec_argv(command)), accept=command.accept)
        self.ending = tuple(host.ending_argv(self.command.argv) or ())

    @property
    def name(self) -> str:
        """The far host's: to the operator it is the stream's end."""
        return self._host.name

    def run(self, command: Command) -> Result:
        """Run here; see `Host.run`."""
        return self._here.run(command)

    def exec_argv(self, command: Command) -> Sequence[str]:
        """The command itself: it runs here."""
        return command.argv

    def end(self, argv: Sequence[str]) -> None:
        """End what the relayed command started on the far host; what runs here dies with its process group."""
        del argv
        self._host.end(self.command.argv)

    def explain(self, command: Command, status: int, stderr: bytes) -> Exception:
        """The error that a failure of what runs here means."""
        return self._here.explain(command, status, stderr)
