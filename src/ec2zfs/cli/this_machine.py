"""The receiver when it is the machine on which we run: a connection that is always there.

Never taken on trust: the instance's id must stand in this machine's firmware, as EC2 writes it there, so that a wrong
configuration cannot have another machine's disks taken for the receiver's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ec2zfs.errors import Refused
from ec2zfs.hosts.host import Command, Host, Result

ASSET_TAG = Path("/sys/class/dmi/id/board_asset_tag")
"""Where a Nitro instance finds its own id, without asking any service."""


@dataclass(frozen=True)
class ThisMachine:
    """A `Connection` to the host on which we are."""

    here: Host

    @staticmethod
    def being(instance_id: str, here: Host, asset_tag: Path = ASSET_TAG) -> ThisMachine:
        """This machine, which must be the instance. Raises `Refused` when it is not."""
        try:
            own = asset_tag.read_text(encoding="utf-8").strip()
        except OSError:
            own = ""
        if own != instance_id:
            raise Refused(
                f'receiver.connection is "local", but this is {own or "no EC2 instance"} and not {instance_id}.',
                hint='Run ec2zfs on the receiver, or set receiver.connection = "ssh".',
            )
        return ThisMachine(here)

    @property
    def name(self) -> str:
        """What the operator calls it."""
        return self.here.name

    def run(self, command: Command) -> Result:
        """See `Host.run`."""
        return self.here.run(command)

    def exec_argv(self, command: Command) -> Sequence[str]:
        """See `Host.exec_argv`."""
        return self.here.exec_argv(command)

    def end(self, argv: Sequence[str]) -> None:
        """See `Host.end`."""
        self.here.end(argv)

    def explain(self, command: Command, status: int, stderr: bytes) -> Exception:
        """See `Host.explain`."""
        return self.here.explain(command, status, stderr)

    def close(self) -> None:
        """Nothing to end."""
