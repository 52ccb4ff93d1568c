"""A home directory for gpg in memory: for its public keys, or for an identity that it needs for a large file.

gpg decrypts only with what stands in a home. So an identity that was lent to us stands in one for that time: on a file
system in memory, in a directory that only this user can enter, under its passphrase if it has one. The home and its
agent end with the process that made it, also by SIGKILL: a guard sees to that (hosts/guard.py).
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from ec2zfs.errors import Refused
from ec2zfs.hosts.guard import Guard

_MEMORY = Path("/dev/shm")  # noqa: S108 - the directory made in it is random, and ours alone
_REMOVE = 'gpgconf --homedir "$1" --kill all; gpgconf --homedir "$1" --remove-socketdir; rm -rf -- "$1"'


class GpgHome:
    """An empty home. `path` is its directory."""

    def __init__(self) -> None:
        if not _in_memory(_MEMORY):
            raise Refused(
                f"{_MEMORY} is no file system in memory, so gpg has no place for keys that is not a disk.",
                hint="Mount it: mount -t tmpfs tmpfs /dev/shm.",
            )
        self.path = tempfile.mkdtemp(prefix="ec2zfs-gpg-", dir=_MEMORY)
        self._guard = Guard(_REMOVE, self.path)

    def add(self, name: str, content: bytes) -> str:
        """Put a file into it; its path."""
        path = Path(self.path) / name
        path.write_bytes(content)
        return str(path)

    def close(self) -> None:
        """Remove it, and end its agent."""
        self._guard.close()


def _in_memory(directory: Path) -> bool:
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    return any(line.split()[1:3] in ([str(directory), "tmpfs"], [str(directory), "ramfs"]) for line in mounts)
