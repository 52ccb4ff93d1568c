"""A receiver's system in memory: it answers after some tries, has its dead-man armed and is set up; no pool, no ZFS."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from ec2zfs.errors import HostError, HostKeyChanged
from ec2zfs.hosts.host import Command, Result

BLOB = b"".join(struct.pack(">I", len(part)) + part for part in (b"ssh-ed25519", b"\x01" * 32))
KEY = f"ssh-ed25519 {base64.b64encode(BLOB).decode()}"
FACTS = {
    "zfs": "2.3.2-2~bpo12+2",
    "zpool": "/usr/sbin/zpool",
    "cryptsetup": "cryptsetup 2.6.1",
    "dm_crypt": "/lib/modules/dm-crypt.ko",
    "swap": "0",
    "memory_kib": "3900000",
    "system": "Debian GNU/Linux 12",
}


@dataclass
class Machine:
    """What stands behind an instance's address: it answers after some tries and does what scripts ask of it."""

    name: str
    facts: dict[str, str]
    deaf: float = 2
    changed: bool = False
    did: list[str] = field(default_factory=list)

    def run(self, command: Command) -> Result:
        if self.changed:
            raise HostKeyChanged("another key")
        if command.argv == ("true",):
            return self.answer()
        what = command.argv[3] if command.argv[:2] == ("sh", "-c") else command.argv[0]
        self.did.append(f"{what} {command.argv[-1]}")
        facts = "".join(f"{name}={value}\n" for name, value in self.facts.items())
        return Result(0, facts.encode() if what == "ec2zfs-setup" else b"", b"")

    def answer(self) -> Result:
        self.deaf -= 1
        if self.deaf >= 0:
            raise HostError(f"{self.name} does not answer")
        return Result(0, b"", b"")

    def close(self) -> None:
        self.did.append("close")

    def exec_argv(self, command: Command) -> Sequence[str]:
        return command.argv

    def end(self, argv: Sequence[str]) -> None:
        return

    def explain(self, command: Command, status: int, stderr: bytes) -> Exception:
        return HostError("unused")
