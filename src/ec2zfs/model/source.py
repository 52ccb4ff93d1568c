"""What is to be safe, and what snapshots taken for it are called. Pure names: nothing is looked up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Source:
    """A dataset at the site that is to be safe, with its children when `recursive`."""

    dataset: str
    recursive: bool = True

    def covers(self, dataset: str) -> bool:
        """Whether the dataset belongs to this source."""
        return dataset == self.dataset or (self.recursive and dataset.startswith(f"{self.dataset}/"))

    def __str__(self) -> str:
        return f"{self.dataset} and its children" if self.recursive else self.dataset


def snapshot_name(now: datetime, period: str) -> str:
    """The name of a snapshot of ours: `ec2zfs_2026-11-23T02:17:00Z_daily`; sortable, always in UTC.

    `now` must know its time zone (ValueError otherwise): a name in an unknown zone would lie twice a year.
    """
    if now.tzinfo is None:
        raise ValueError("the time of a snapshot needs a time zone")
    return f"ec2zfs_{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}_{period}"
