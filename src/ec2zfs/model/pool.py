"""The cloud pool: what was asked for, and what ZFS says of it. Decides what a member's name means; touches nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from ec2zfs.errors import ConfigurationError
from ec2zfs.model.layout import GIB, Layout, Place, Redundancy
from ec2zfs.model.scan import Scan, ScanFunction

_MAPPING = re.compile(r"(?P<pool>.+)-v(?P<vdev>[1-9]\d*)s(?P<slot>[1-9]\d*)-g(?P<generation>[1-9]\d*)")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,29}")
_RESERVED = ("mirror", "raidz", "draid", "spare", "log")


@dataclass(frozen=True)
class PoolDesign:
    """The pool that the operator asked for.

    The name has at most 30 characters, so that a place's name fits into LUKS2's label of 47 bytes; it obeys zpool(8).
    `encrypted`: every member is an opened LUKS2 mapping; else the bare volumes are the members.
    """

    name: str
    layout: Layout
    encrypted: bool = True

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigurationError(
                f"'{self.name}' cannot be a pool's name.",
                hint="Use at most 30 letters, digits, `-`, `_` or `.`, beginning with a letter.",
            )
        if self.name.startswith(_RESERVED):
            raise ConfigurationError(
                f"A pool's name cannot begin with {', '.join(_RESERVED[:-1])} or {_RESERVED[-1]}: '{self.name}' does."
            )


class DeviceState(StrEnum):
    """The state of a pool, a vdev or a member in ZFS's words (zpoolconcepts(7)); SUSPENDED holds for pools only."""

    ONLINE = "ONLINE"
    DEGRADED = "DEGRADED"
    FAULTED = "FAULTED"
    OFFLINE = "OFFLINE"
    REMOVED = "REMOVED"
    UNAVAIL = "UNAVAIL"
    SUSPENDED = "SUSPENDED"


@dataclass(frozen=True)
class MemberName:
    """What the name of a mapping of ours says: `cloud-v2s5-g1`."""

    pool: str
    place: Place
    generation: int

    @staticmethod
    def parse(text: str) -> MemberName | None:
        """Read a mapping's name, or the path of its device; None when it is none of ours."""
        match = _MAPPING.fullmatch(text.rpartition("/")[2])
        if match is None:
            return None
        place = Place(int(match["vdev"]), int(match["slot"]))
        return MemberName(match["pool"], place, int(match["generation"]))


@dataclass(frozen=True)
class Member:
    """A leaf of the pool. `place` and `generation` are None when the name is none of ours.

    Errors are counted by ZFS since the last `zpool clear` or import. `guid` stands for one whose device is gone: ZFS
    then knows it by that number only, and `path` is where it was. `replacing`: it is one of the two of a `replacing`
    group; `resilvering`: data is being put on it, or waits to be.
    """

    path: str
    state: DeviceState
    read_errors: int = 0
    write_errors: int = 0
    checksum_errors: int = 0
    place: Place | None = None
    generation: int | None = None
    guid: str = ""
    replacing: bool = False
    resilvering: bool = False

    def __hash__(self) -> int:
        # Equal members have equal paths; members are looked up so often that hashing all of their fields is felt.
        return hash(self.path)

    @property
    def errors(self) -> int:
        """Read, write and checksum errors together."""
        return self.read_errors + self.write_errors + self.checksum_errors

    @cached_property
    def name(self) -> str:
        """The path without its directory."""
        return self.path.rpartition("/")[2]

    @property
    def handle(self) -> str:
        """What zpool's commands take for it: its number when the device is gone, else its path."""
        return self.guid or self.path

    @property
    def sound(self) -> bool:
        """Online, and no error was counted."""
        return self.state is DeviceState.ONLINE and not self.errors


@dataclass(frozen=True)
class Vdev:
    """A top-level vdev. `kind` is ZFS's word: `raidz1`, `mirror`, or `disk` for a lone member.

    Sizes are bytes, raw; `expandable` is what `zpool online -e` would add to it.
    """

    name: str
    kind: str
    state: DeviceState
    members: tuple[Member, ...]
    size: int = 0
    allocated: int = 0
    expandable: int = 0


@dataclass(frozen=True)
class PoolStatus:
    """An imported pool as `zpool status` and `zpool list` describe it. Sizes are in bytes, raw (parity included).

    `scan` is the last or running scrub or resilver; `status` ZFS's sentence when all is not well; `errors` its line
    about damaged data. `scrubbed` is when a scrub ended that found the pool clean, as ec2zfs wrote it into the pool:
    ZFS itself forgets a scrub when it resilvers.
    """

    name: str
    guid: int
    state: DeviceState
    vdevs: tuple[Vdev, ...]
    size: int
    allocated: int
    free: int
    scan: Scan | None = None
    status: str = ""
    errors: str = ""
    scrubbed: datetime | None = None

    @property
    def members(self) -> tuple[Member, ...]:
        """The leaves of all vdevs, in order."""
        return tuple(member for vdev in self.vdevs for member in vdev.members)

    @property
    def undamaged(self) -> bool:
        """Whether ZFS knows of no data that is lost."""
        return self.errors in ("", "No known data errors")

    @property
    def healthy(self) -> bool:
        """Online, every member too, and no error was ever counted or reported."""
        calm = all(member.sound for member in self.members)
        return self.state is DeviceState.ONLINE and calm and self.undamaged

    @property
    def resilvering(self) -> bool:
        """Whether a resilver is under way or waits, or a replacement has not ended."""
        scanning = self.scan is not None and self.scan.running and self.scan.function is ScanFunction.RESILVER
        return scanning or any(member.replacing or member.resilvering for member in self.members)

    @property
    def last_clean_scrub(self) -> datetime | None:
        """When the newest scrub ended that found all well, as far as ZFS or ec2zfs remembers one."""
        known = [when for when in (self.scan and self.scan.clean_scrub, self.scrubbed) if when]
        return max(known, default=None)


def raw_size(kind: str, members: int, least_gib: int) -> int:
    """Bytes of a vdev, parity included, by the GiB of its smallest volume: all of a raidz, one volume of a mirror."""
    return least_gib * GIB * (1 if kind == "mirror" else members)


def vdev_kinds(redundancy: Redundancy, vdevs: int) -> tuple[str, ...]:
    """The kinds of a pool's vdevs in order, as `Vdev.kind` spells them."""
    return (redundancy.value,) * vdevs
