"""The commands by which files leave a copy in the cloud pool: a snapshot is shown read-only, and tar packs the files.

What is packed there is unpacked here by the names that tar believes in: never above the directory it is given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ec2zfs.hosts.host import Command, Host
from ec2zfs.tools.zfs_scripts import zfs_script

SHOWN_LIMIT = 300.0


@contextmanager
def shown_snapshot(host: Host, snapshot: str) -> Iterator[str]:
    """A directory of the host's for the time of a block; the files of the snapshot are in `files` there, read-only."""
    place = host.run(zfs_script("zfs_copy_show.sh", snapshot, timeout=SHOWN_LIMIT)).text.rstrip("\n")
    try:
        yield place
    finally:
        host.run(zfs_script("zfs_copy_hide.sh", place, timeout=SHOWN_LIMIT))


def want(host: Host, place: str, names: Sequence[str]) -> None:
    """Leave the names of the files that are wanted next beside a snapshot that is shown."""
    listed = "".join(f"{name}\n" for name in names).encode()
    host.run(Command.of("dd", f"of={place}/wanted", "status=none", stdin=listed))


def pack_wanted(place: str) -> Command:
    """Prints an archive of what `want` named; what is not there is left out."""
    options = ("--no-recursion", "--ignore-failed-read", "--verbatim-files-from", f"--files-from={place}/wanted")
    return Command.of("tar", "--create", f"--directory={place}/files", *options, timeout=None)


def pack(place: str, *names: str) -> Command:
    """Prints an archive of these, with all that is below them."""
    return Command.of("tar", "--create", f"--directory={place}/files", *names, timeout=None)


def unpack(folder: Path) -> Command:
    """Takes an archive and puts what is in it into a directory, as files of our own."""
    options = ("--no-same-owner", "--no-same-permissions")
    return Command.of("tar", "--extract", f"--directory={folder}", *options, timeout=None)
