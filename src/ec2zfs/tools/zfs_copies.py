"""The commands by which files leave a copy in the cloud pool: a snapshot is shown read-only, and packed by tar."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ec2zfs.hosts.host import Command, Host
from ec2zfs.tools.zfs_scripts import zfs_script

SHOWN_LIMIT = 300.0


def show_snapshot(host: Host, snapshot: str) -> str:
    """Make a directory of the host's, until `hide_snapshot`: the snapshot's files are in `files` there, read-only."""
    return host.run(zfs_script("zfs_copy_show.sh", snapshot, timeout=SHOWN_LIMIT)).text.rstrip("\n")


def hide_snapshot(host: Host, place: str) -> None:
    """Undo `show_snapshot`; may be done twice."""
    host.run(zfs_script("zfs_copy_hide.sh", place, timeout=SHOWN_LIMIT))


def want(host: Host, place: str, names: Sequence[str]) -> None:
    """Leave the names of the files that are wanted next beside a snapshot that is shown."""
    listed = "".join(f"{name}\n" for name in names).encode()
    host.run(Command.of("dd", f"of={place}/wanted", "status=none", stdin=listed))


def pack_wanted(place: str) -> Command:
    """Prints an archive of what `want` named; what is not there is left out, and what cannot be read is zeros."""
    options = ("--no-recursion", "--ignore-failed-read", "--verbatim-files-from", f"--files-from={place}/wanted")
    return Command.of("tar", "--create", f"--directory={place}/files", *options, timeout=None)


def pack(place: str, *names: str) -> Command:
    """Prints an archive of these, with all that is below them."""
    return Command.of("tar", "--create", f"--directory={place}/files", *names, timeout=None)


def unpack(empty: Path) -> Command:
    """Takes an archive and puts what is in it into a directory, as files of our own.

    Tar keeps to the directory only as long as nothing is in it when it begins: a link that an earlier archive brought
    would lead a later one anywhere.
    """
    options = ("--no-same-owner", "--no-same-permissions")
    return Command.of("tar", "--extract", f"--directory={empty}", *options, timeout=None)
