"""Staged files out of the cloud pool: the receiver is started on demand and the pool opened, a snapshot of the copy is
shown there, and what is wanted of it comes here as it stands, encrypted. The identity never leaves this machine.

In the end the pool and the receiver are as they were before. Nothing in the pool is changed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from ec2zfs.encryption.identities import Identity
from ec2zfs.errors import Refused
from ec2zfs.execute.carrier import Carrier
from ec2zfs.execute.staged_copy import StagedCopy
from ec2zfs.hosts.host import Host
from ec2zfs.hosts.secret import Secret
from ec2zfs.model.replication import target_name
from ec2zfs.model.snapshot import Dataset
from ec2zfs.model.staging import staged_name
from ec2zfs.runs.staged_files import StagedFiles, fits
from ec2zfs.runs.stages import Journal
from ec2zfs.runs.upkeep import UpkeepParts, opened
from ec2zfs.staging.listing import labels
from ec2zfs.staging.objects import Objects
from ec2zfs.tools.zfs import Zfs
from ec2zfs.tools.zfs_copies import hide_snapshot, show_snapshot


@dataclass(frozen=True)
class CloudFilesParts:
    """What it works with; `root` is the staging dataset, and `carrier` has streams carried from the receiver."""

    upkeep: UpkeepParts
    carrier: Carrier
    root: str


@dataclass(frozen=True)
class Wish:
    """Whose files are wanted, and as of when: a time, the name of a snapshot, or None for the newest."""

    source: str
    at: datetime | str | None = None


@contextmanager
def cloud_files(
    parts: CloudFilesParts, key: Secret | None, identity: Identity, wish: Wish, folder: Path, journal: Journal
) -> Iterator[tuple[StagedFiles, Objects]]:
    """The files as of the newest snapshot in the cloud pool that is not younger than is wished.

    They come into a folder below `folder`: the manifest at once, and the objects as they are asked for. Raises
    `Refused` when there is no such copy or snapshot, and what opening the pool and reading the manifest raise.
    """
    with opened(parts.upkeep, key, journal) as pool:
        name = target_name(parts.upkeep.design.name, staged_name(parts.root, wish.source))
        copy = Zfs(pool.host).dataset(name)
        if copy is None or not copy.snapshots:
            raise Refused(
                f"The cloud pool has no copy of what is staged of {wish.source}: {name}.",
                hint="`ec2zfs status` shows what has one.",
            )
        showing = _Showing(parts, pool.host, name, folder, journal)
        chosen = _named(copy, wish)
        if not chosen:
            with showing.shown(copy.snapshots[-1].name) as newest:
                chosen = _of_time(copy, newest, identity, wish)
        with showing.shown(chosen) as shown:
            yield StagedFiles(shown.folder, wish.source, chosen), shown


@dataclass(frozen=True)
class _Showing:
    parts: CloudFilesParts
    host: Host
    name: str
    folder: Path
    journal: Journal

    @contextmanager
    def shown(self, snapshot: str) -> Iterator[StagedCopy]:
        """A snapshot of the copy, and a folder of its own with its manifest."""
        place = show_snapshot(self.host, f"{self.name}@{snapshot}")
        with self.journal.undone_by("take the snapshot out of sight", partial(hide_snapshot, self.host, place)):
            folder = Path(tempfile.mkdtemp(dir=self.folder))
            copy = StagedCopy(self.host, place, folder, self.parts.carrier, self.parts.upkeep.progress)
            copy.fetch_manifest()
            yield copy


def _named(copy: Dataset, wish: Wish) -> str:
    """The snapshot that is wanted without a look into any: the newest, or the one of the name; "" where a time is."""
    if wish.at is None:
        return copy.snapshots[-1].name
    return next((each.name for each in copy.snapshots if each.name == wish.at), "")


def _of_time(copy: Dataset, newest: StagedCopy, identity: Identity, wish: Wish) -> str:
    """The name of the snapshot that is wanted, of those that the copy has and the newest one's manifest knows."""
    there = {each.name for each in copy.snapshots}
    told = [(each.snapshot, datetime.fromtimestamp(each.created, UTC)) for _, each in labels(newest.folder, identity)]
    fitting = [name for name, taken in told if name in there and fits(name, taken, wish.at)]
    if not fitting:
        have = ", ".join(f"@{each.name}" for each in copy.snapshots[-3:])
        raise Refused(
            f"Of {wish.source} the cloud pool has no snapshot of {wish.at}, as far as its newest one knows of them.",
            hint=f"From before everything was encrypted again it knows none; `--at` takes a name. The newest: {have}.",
        )
    return fitting[-1]
