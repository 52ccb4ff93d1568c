"""What keeps a source from being staged: each kind is a type with its evidence, and says what can be done.

Staging belongs to ec2zfs alone. What is not its own there is neither used, nor rolled back, nor destroyed.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from ec2zfs.model.snapshot import Snapshot
from ec2zfs.model.staging import Mount

LONGEST_NAME = 255
"""Bytes in the name of a snapshot with its dataset."""


@dataclass(frozen=True)
class ForeignDataset:
    """A dataset that we did not make stands where the source is to be staged."""

    source: str
    place: str

    def __str__(self) -> str:
        return f"{self.place}, where {self.source} is to be staged, is not ec2zfs's own."

    def advice(self) -> str:
        """What the operator can do."""
        return f"Give it another name (`zfs rename {shlex.quote(self.place)} NEW`), or stage below another dataset."


@dataclass(frozen=True)
class OtherSource:
    """What is staged there is another dataset, which had this name before."""

    source: str
    place: str

    def __str__(self) -> str:
        return f"{self.place} holds the files of another dataset that was called {self.source} before (by its GUID)."

    def advice(self) -> str:
        """What the operator can do."""
        return f"Give it another name, and {self.source} is staged anew: `zfs rename {shlex.quote(self.place)} NEW`."


@dataclass(frozen=True)
class SourceRenamed:
    """The source was renamed, and is staged under its name of before."""

    source: str
    strayed: str
    place: str

    def __str__(self) -> str:
        return f"{self.source} was renamed; it is staged as {self.strayed}."

    def advice(self) -> str:
        """What the operator can do."""
        return (
            f"`zfs rename -p {shlex.quote(self.strayed)} {shlex.quote(self.place)}` lets what is staged follow it; it"
            " keeps its mount point."
        )


@dataclass(frozen=True)
class ForeignSnapshots:
    """Somebody took snapshots of the staged dataset: the newest is not known to be what we staged."""

    source: str
    place: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.place} has snapshots that ec2zfs did not take: {_few(self.names)}."

    def advice(self) -> str:
        """What the operator can do."""
        return f"Destroy them, once nobody needs them: `zfs destroy {shlex.quote(f'{self.place}@{self.names[0]}')}`."


@dataclass(frozen=True)
class StagedModified:
    """Somebody wrote into the staged dataset."""

    source: str
    place: str
    newest: str
    written: int

    def __str__(self) -> str:
        return f"{self.place} was changed by somebody: {self.written} bytes since @{self.newest}."

    def advice(self) -> str:
        """What the operator can do."""
        return f"`zfs rollback {shlex.quote(f'{self.place}@{self.newest}')}` discards what was changed."


@dataclass(frozen=True)
class NameTaken:
    """Another snapshot of that name is staged already: the source's was destroyed and taken again."""

    source: str
    place: str
    snapshot: Snapshot

    def __str__(self) -> str:
        return (
            f"{self.place}@{self.snapshot.name} is staged already, as of another snapshot of this name (by its GUID)."
        )

    def advice(self) -> str:
        """What the operator can do."""
        return (
            f"Give one of the two another name: `zfs rename {shlex.quote(f'{self.place}@{self.snapshot.name}')} NEW`."
        )


@dataclass(frozen=True)
class StagedNameTooLong:
    """The staged snapshot would have a longer name than ZFS allows."""

    source: str
    place: str
    snapshot: Snapshot

    def __str__(self) -> str:
        return (
            f"{self.place}@{self.snapshot.name} would be a name of more than {LONGEST_NAME} bytes, which ZFS refuses."
        )

    def advice(self) -> str:
        """What the operator can do."""
        return f"Give the snapshot or a dataset a shorter name: `zfs rename {shlex.quote(str(self.snapshot))} NEW`."


@dataclass(frozen=True)
class Unreachable:
    """The snapshots of the source cannot be looked into."""

    source: str
    place: str
    why: str
    remedy: str

    def __str__(self) -> str:
        return f"The files of {self.source} cannot be read: {self.why}."

    def advice(self) -> str:
        """What the operator can do."""
        return self.remedy


def unreachable(source: str, place: str, mount: Mount | None) -> Unreachable | None:
    """Why nobody can look below `.zfs/snapshot` in the mount point of a source; None when one can."""
    name = shlex.quote(source)
    if mount is None:
        return Unreachable(source, place, "it is gone", "Look with `zfs list`.")
    if mount.keystatus == "unavailable":
        return Unreachable(source, place, "its key is not loaded", f"`zfs load-key {name}`, then `zfs mount {name}`.")
    if not mount.mountpoint.startswith("/"):
        why = f"its mountpoint is {mount.mountpoint}, and they are looked for where ZFS mounts it"
        return Unreachable(source, place, why, f"Give it a directory: `zfs set mountpoint=/… {name}`.")
    if not mount.mounted:
        return Unreachable(source, place, "it is not mounted", f"`zfs mount {name}` mounts it.")
    if mount.snapdir == "disabled":
        why = "snapdir=disabled hides its snapshots from everybody"
        return Unreachable(source, place, why, f"`zfs set snapdir=hidden {name}` hides them from listings alone.")
    return None


@dataclass(frozen=True)
class NothingNewer:
    """All is to be encrypted again, but there is no snapshot to do it with: the newest is staged."""

    source: str
    place: str

    def __str__(self) -> str:
        return f"{self.source} has no snapshot that is newer than what is staged, so it was not encrypted again."

    def advice(self) -> str:
        """What the operator can do."""
        return "Take one (`ec2zfs snapshot --now`), and try again."


StagingConflict = (
    ForeignDataset
    | OtherSource
    | SourceRenamed
    | ForeignSnapshots
    | StagedModified
    | NameTaken
    | Unreachable
    | StagedNameTooLong
    | NothingNewer
)


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(f"@{name}" for name in names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
