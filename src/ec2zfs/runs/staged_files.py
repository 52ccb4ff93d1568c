"""Where the staged files of a source stand at a time: in a snapshot of the staging pool, or in a folder somewhere.

Only looks. A snapshot does not change while it is read, so neither a stage nor pruning under way disturbs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ec2zfs.encryption.identities import Identity
from ec2zfs.errors import Refused
from ec2zfs.hosts.host import Host
from ec2zfs.model.staging import StagedDataset
from ec2zfs.staging.listing import labels
from ec2zfs.tools.zfs_staging import mounts


@dataclass(frozen=True)
class StagedFiles:
    """A folder of staged files: `source` is whose they are, `snapshot` as of which, "" for as it stands now.

    `number` is that of the segment of the manifest that is meant; None: the last.
    """

    folder: Path
    source: str = ""
    snapshot: str = ""
    number: int | None = None

    def __str__(self) -> str:
        return f"{self.source}@{self.snapshot}" if self.snapshot else str(self.folder)


def at_time(site: Host, staged: StagedDataset, source: str, at: datetime | str | None) -> StagedFiles:
    """The newest staged snapshot that is not younger than `at`, or the one of that name; without it the newest.

    Raises `Refused` when there is none, or the staged dataset is not mounted.
    """
    ours = [each for each in staged.snapshots if each.source_guid]
    fitting = [each for each in ours if fits(each.name, each.taken, at)]
    if not fitting:
        words = ", ".join(f"@{each.name}" for each in ours[-3:]) or "none"
        raise Refused(
            f"Of {source} no snapshot is staged that is of {at}." if at else f"Of {source} nothing is staged.",
            hint=f"The newest that are: {words}.",
        )
    return StagedFiles(_shown_folder(site, staged.name) / fitting[-1].name, source, fitting[-1].name)


def fits(name: str, taken: datetime | None, at: datetime | str | None) -> bool:
    """Whether a snapshot is not younger than `at`, or of that name; None: any is."""
    return at is None or name == at or (isinstance(at, datetime) and taken is not None and taken <= at)


def _shown_folder(site: Host, place: str) -> Path:
    mount = mounts(site, [place]).get(place)
    if mount is None or not mount.mounted or not mount.mountpoint.startswith("/"):
        raise Refused(f"The staged dataset {place} is not mounted.", hint=f"`zfs mount {place}` mounts it.")
    return Path(mount.mountpoint, ".zfs", "snapshot")


def in_folder(folder: Path, identity: Identity, at: datetime | str | None) -> StagedFiles:
    """A folder of staged files that stands anywhere, as of the newest snapshot that is not younger than `at`.

    Raises `Refused` when its manifest knows of none, and as reading the manifest does.
    """
    if at is None:
        return StagedFiles(folder)
    fitting = [
        (number, label)
        for number, label in labels(folder, identity)
        if fits(label.snapshot, datetime.fromtimestamp(label.created, UTC), at)
    ]
    if not fitting:
        raise Refused(
            f"In {folder} there is no snapshot that is of {at}.", hint="`ec2zfs restore list` shows which are."
        )
    number, label = fitting[-1]
    return StagedFiles(folder, label.dataset, label.snapshot, number)


def all_newest(site: Host, staged: Sequence[StagedDataset], root: str) -> Iterator[StagedFiles]:
    """Each staged dataset as of its newest snapshot."""
    for each in staged:
        if each.source_guid and each.snapshots:
            yield at_time(site, each, each.name.removeprefix(f"{root}/"), None)


def time_or_name(text: str) -> datetime | str:
    """What the operator calls a time: ISO 8601, which is UTC unless it says otherwise; else a snapshot's name."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return text
    return found if found.tzinfo else found.replace(tzinfo=UTC)
