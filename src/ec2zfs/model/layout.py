"""The shape of the cloud pool: redundancy, vdevs, slots and sizes. Decides which layouts exist; touches nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from ec2zfs.errors import ConfigurationError

GIB = 1024**3


class Redundancy(StrEnum):
    """How a vdev survives the loss of volumes, in the words of zpoolconcepts(7)."""

    MIRROR = "mirror"
    RAIDZ1 = "raidz1"
    RAIDZ2 = "raidz2"
    RAIDZ3 = "raidz3"

    @property
    def parity(self) -> int:
        """Volumes of a raidz vdev that hold parity; 0 for a mirror, of which all but one may fail."""
        return 0 if self is Redundancy.MIRROR else int(self.value[-1])

    @property
    def least_volumes(self) -> int:
        """The fewest volumes a vdev of this kind can have and still be redundant."""
        return 2 if self is Redundancy.MIRROR else self.parity + 1


@dataclass(frozen=True, order=True)
class Place:
    """Where a volume stands in the pool: vdev and slot, both counted from 1. Written `v2s5`."""

    vdev: int
    slot: int

    def __str__(self) -> str:
        return f"v{self.vdev}s{self.slot}"


@dataclass(frozen=True)
class Layout:
    """Redundancy, number of vdevs, volumes per vdev and the size of each in GiB: "5 x raidz1 of 8 x 1 GiB"."""

    redundancy: Redundancy
    vdevs: int
    volumes_per_vdev: int
    size_gib: int

    def __post_init__(self) -> None:
        if self.vdevs < 1:
            raise ConfigurationError(f"A pool needs at least 1 vdev, not {self.vdevs}.")
        if self.size_gib < 1:
            raise ConfigurationError(f"A volume has at least 1 GiB, not {self.size_gib}.")
        least = self.redundancy.least_volumes
        if self.volumes_per_vdev < least:
            raise ConfigurationError(
                f"{self.redundancy} of {self.volumes_per_vdev} is not redundant.",
                hint=f"Give each vdev at least {least} volumes, or choose another redundancy.",
            )

    def __str__(self) -> str:
        return f"{self.vdevs} x {self.redundancy} of {self.volumes_per_vdev} x {self.size_gib} GiB"

    @property
    def volumes(self) -> int:
        """Volumes in all vdevs together."""
        return self.vdevs * self.volumes_per_vdev

    @property
    def usable_gib(self) -> int:
        """Room for data in GiB before ZFS's own overhead."""
        mirror = self.redundancy is Redundancy.MIRROR
        data = 1 if mirror else self.volumes_per_vdev - self.redundancy.parity
        return self.vdevs * data * self.size_gib

    def places(self) -> Iterator[Place]:
        """Every place of the pool, vdev by vdev."""
        for vdev in range(1, self.vdevs + 1):
            yield from (Place(vdev, slot) for slot in range(1, self.volumes_per_vdev + 1))
