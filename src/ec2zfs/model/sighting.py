"""One look at a dataset, without its snapshots: what ZFS says by which one knows later whether anything has changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ec2zfs.model.snapshot import Dataset

Settings = tuple[tuple[str, str], ...]
"""The native properties that are set, by their names."""


@dataclass(frozen=True)
class Sighting:
    """A dataset as a look shows it.

    `changed` is when its list of snapshots changed last, in seconds since 1970 by its host's clock; 0 when ZFS does not
    tell, or when that is so recent that another change could bear the same second. `identity` is the GUID of the source
    that a copy bears of its own (0: none), `note` what the last whole run wrote down on it.
    """

    dataset: Dataset
    changed: int = 0
    identity: int = 0
    note: str = ""
    settings: Settings = ()


@dataclass(frozen=True)
class Look:
    """The datasets of one side, the version of ZFS's kernel modules, and how many bytes may be written below each.

    `whole`: all below the datasets that were asked for are there too.
    """

    version: str
    sightings: Mapping[str, Sighting] = field(default_factory=dict)
    available: Mapping[str, int] = field(default_factory=dict)
    whole: bool = True

    def __or__(self, other: Look) -> Look:
        return Look(
            self.version or other.version,
            {**self.sightings, **other.sightings},
            {**self.available, **other.available},
            self.whole and other.whole,
        )
