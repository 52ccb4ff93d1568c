"""What stands in the staging pool, as ZFS tells of it: whose files each dataset holds, and as of which snapshots.

Nothing else is remembered: the user properties say it, and they change in the same step as what they speak of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from ec2zfs.model.snapshot import Dataset

OF_SOURCE = "ec2zfs:staged"
"""Of a staged dataset: the GUID of the source dataset."""

UNDER_WAY = "ec2zfs:staging"
"""Of a staged dataset in which we are at work, or were when we died: what was written since its newest snapshot is ours
to roll back. The GUID of the snapshot that is being staged, or 0."""

SOURCE_GUID = "ec2zfs:source_guid"
"""Of a staged snapshot: the GUID of the source's snapshot. What does not bear it is not ours."""

WALKED = "ec2zfs:walked"
"""Of a staged snapshot: when the whole tree was last compared, in seconds since 1970."""

TAKEN = "ec2zfs:source_taken"
"""Of a staged snapshot: when the source's snapshot was taken, in seconds since 1970."""

ROLE, PARENT = "ec2zfs:role", "staging-parent"
"""Of a dataset that was made only to stand above staged ones."""


class StagedSnapshot(NamedTuple):
    """A snapshot of a staged dataset; `source_guid` is 0 when it is not ours.

    `taken`: when the source's snapshot was; `walked`: when the whole tree was last compared. None where it is not told.
    """

    name: str
    source_guid: int
    createtxg: int
    walked: datetime | None = None
    taken: datetime | None = None


@dataclass(frozen=True)
class StagedDataset:
    """A dataset below the staging dataset, oldest snapshots first.

    `source_guid` is 0 when it is nobody's; `parent`: it was made to stand above others. `under_way`: the GUID of the
    source's snapshot in whose stage we may have been interrupted, 0 when none had begun yet; None: we were not at work.
    `written` is in bytes, since the newest snapshot.
    """

    name: str
    source_guid: int = 0
    snapshots: tuple[StagedSnapshot, ...] = ()
    under_way: int | None = None
    parent: bool = False
    written: int = 0


class Mount(NamedTuple):
    """Whether the files of a dataset can be reached: the properties of ZFS with these names."""

    mounted: bool
    canmount: str
    keystatus: str
    snapdir: str
    mountpoint: str


@dataclass(frozen=True)
class StagingState:
    """Both sides as they are: the sources' datasets that may be staged, and all below the staging dataset, by name.

    `mounts` are those of the sources, and of the staging dataset `root`.
    """

    root: str
    sources: tuple[Dataset, ...]
    staged: Mapping[str, StagedDataset]
    mounts: Mapping[str, Mount]


def staged_name(root: str, source: str) -> str:
    """Where a source is staged: `vault` and `tank/home` make `vault/tank/home`."""
    return f"{root}/{source}"
