"""A small ZFS in memory: vdevs, members, replacements, scans; it prints what `zpool status` and `zpool list -v` print.

It knows members by the names of their mappings and asks its machine for no more than which of them can be used now.
Time is the number of looks: a scan runs for `scan_looks` of them and has ended at the next one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count

from ec2zfs.model.layout import GIB, Redundancy

MAPPER = "/dev/mapper/"
OUT = ("OFFLINE", "REMOVED", "UNAVAIL")


class ZfsRefused(Exception):
    """What zpool says when it does not do it."""


@dataclass
class Leaf:
    """A member. `unknown`: its device was not there at the import, so only its number is shown."""

    name: str
    guid: str
    state: str = "ONLINE"
    errors: int = 0
    resilvering: bool = False
    unknown: bool = False

    @property
    def path(self) -> str:
        return MAPPER + self.name

    @property
    def whole(self) -> bool:
        """Whether all of its data can be read from it."""
        return self.state == "ONLINE" and not self.resilvering

    def row(self, indent: str) -> str:
        mark = "  (resilvering)" if self.resilvering and self.state == "ONLINE" else ""
        was = f"  was {self.path}" if self.unknown else ""
        return f"{indent}{self.guid if self.unknown else self.path}  {self.state}  {self.errors} 0 0{mark}{was}"


@dataclass
class TopVdev:
    """`slots` hold one leaf each, or the old and the new half of a replacement. `size` in bytes of raw space."""

    kind: str
    slots: list[list[Leaf]]
    size: int = 0

    @property
    def leaves(self) -> list[Leaf]:
        return [leaf for slot in self.slots for leaf in slot]

    @property
    def spare(self) -> int:
        """How many more slots may be lost; below 0 data is."""
        lost = sum(not any(leaf.whole for leaf in slot) for slot in self.slots)
        parity = len(self.slots) - 1 if self.kind == "mirror" else Redundancy(self.kind).parity
        return parity - lost

    @property
    def health(self) -> str:
        return "ONLINE" if all(leaf.state == "ONLINE" for leaf in self.leaves) else "DEGRADED"

    def possible(self, sizes: Mapping[str, int]) -> int:
        """The bytes that its members would have room for."""
        least = min((sizes[leaf.name] for leaf in self.leaves if leaf.name in sizes), default=0)
        return least * (1 if self.kind == "mirror" else len(self.slots)) // (16 * GIB // 1024) * (16 * GIB // 1024)


@dataclass
class SmallZfs:
    """One pool. `scan`: the function and the state of the last scan; `left`: for how many looks it runs yet."""

    scan_looks: int = 1
    now: datetime = datetime(2026, 11, 23, 22, 46, 28, tzinfo=UTC)
    vdevs: list[TopVdev] = field(default_factory=list)
    scan: tuple[str, str] | None = None
    left: int = 0
    scrub_errors: int = 0
    damaged: str = "No known data errors"
    scrubbed: str = "-"
    numbers: Iterator[int] = field(default_factory=lambda: count(10_001))

    @property
    def leaves(self) -> list[Leaf]:
        """All members, in order."""
        return [leaf for vdev in self.vdevs for leaf in vdev.leaves]

    @property
    def health(self) -> str:
        """The pool's state as far as its members make it."""
        return "ONLINE" if all(vdev.health == "ONLINE" for vdev in self.vdevs) else "DEGRADED"

    def leaf(self, handle: str) -> Leaf:
        """The member of a path or number."""
        found = next((leaf for leaf in self.leaves if handle in (leaf.path, leaf.guid)), None)
        if found is None:
            raise ZfsRefused(f"cannot find {handle} in pool")
        return found

    def knows(self, path: str) -> bool:
        """Whether a path is a member already."""
        return any(leaf.path == path for leaf in self.leaves)

    def add(self, kind: str, paths: Sequence[str], sizes: Mapping[str, int]) -> None:
        """A vdev more."""
        leaves = [[Leaf(path.removeprefix(MAPPER), str(next(self.numbers)))] for path in paths]
        vdev = TopVdev(kind, leaves)
        vdev.size = vdev.possible(sizes)
        self.vdevs.append(vdev)

    def replace(self, handle: str, path: str, sizes: Mapping[str, int]) -> None:
        """Put a device beside an old member; it takes its place when the resilver has ended."""
        old, name = self.leaf(handle), path.removeprefix(MAPPER)
        vdev, slot = self._of(old)
        if len(slot) > 1:
            raise ZfsRefused(f"cannot replace {handle} with {path}: {handle} is busy")
        if name not in sizes:
            raise ZfsRefused(f"cannot open '{path}'")
        if sizes[name] * (1 if vdev.kind == "mirror" else len(vdev.slots)) < vdev.size:
            raise ZfsRefused(f"cannot replace {handle} with {path}: device is too small")
        slot.append(Leaf(name, str(next(self.numbers)), resilvering=True))
        self.resilver()

    def offline(self, handle: str) -> None:
        """Take a member off, unless data would be lost."""
        leaf = self.leaf(handle)
        vdev, slot = self._of(leaf)
        if leaf.whole and vdev.spare < 1 and not any(other.whole for other in slot if other is not leaf):
            raise ZfsRefused(f"cannot offline {handle}: no valid replicas")
        leaf.state = "OFFLINE"

    def online(self, handle: str, usable: set[str]) -> None:
        """Let a member come back if its device is there; a faulted one waits for `clear`."""
        leaf = self.leaf(handle)
        if leaf.state in OUT:
            leaf.state = "UNAVAIL"
            self._revive(leaf, usable)

    def detach(self, handle: str) -> None:
        """Take one half of a replacement out."""
        leaf = self.leaf(handle)
        _, slot = self._of(leaf)
        if len(slot) < 2:
            raise ZfsRefused(f"cannot detach {handle}: only applicable to mirror and replacing vdevs")
        slot.remove(leaf)
        if not any(each.resilvering for each in self.leaves):
            self.scan, self.left = ("resilver", "finished"), 0

    def clear(self, usable: set[str], handle: str = "") -> None:
        """Count anew, and try again what was given up."""
        for leaf in [self.leaf(handle)] if handle else self.leaves:
            leaf.errors = 0
            if leaf.state == "FAULTED":
                self._revive(leaf, usable)

    def scrub(self) -> None:
        """Begin a scrub, or let a paused one go on."""
        if self.scan == ("resilver", "running"):
            raise ZfsRefused("cannot scrub: currently resilvering")
        if self.scan != ("scrub", "running"):
            self.scan, self.left = ("scrub", "running"), self.scan_looks

    def pause(self) -> None:
        """Let a scrub rest."""
        if self.scan != ("scrub", "running"):
            raise ZfsRefused("cannot pause scrubbing: there is no active scrub")
        self.scan = ("scrub", "paused")

    def resilver(self) -> None:
        """Begin anew, with all that waits."""
        self.scan, self.left = ("resilver", "running"), self.scan_looks

    def expand(self, handle: str, sizes: Mapping[str, int]) -> None:
        """`zpool online -e`: let a vdev have what all of its members have."""
        vdev, _ = self._of(self.leaf(handle))
        vdev.size = max(vdev.size, vdev.possible(sizes))

    def fail(self, name: str, state: str, errors: int = 0) -> None:
        """Something happens to a member."""
        leaf = self.leaf(MAPPER + name)
        leaf.state, leaf.errors = state, leaf.errors + errors

    def importable(self, usable: set[str]) -> bool:
        """Whether the pool could be imported with these devices."""
        lost = [sum(not any(_readable(leaf, usable) for leaf in slot) for slot in vdev.slots) for vdev in self.vdevs]
        most = [vdev.spare + sum(not any(leaf.whole for leaf in slot) for slot in vdev.slots) for vdev in self.vdevs]
        return bool(self.vdevs) and all(gone <= bearable for gone, bearable in zip(lost, most, strict=True))

    def whole(self, usable: set[str]) -> bool:
        """Whether the pool would be imported with all of its members."""
        return all(leaf.name in usable and leaf.state != "OFFLINE" for leaf in self.leaves)

    def load(self, usable: set[str]) -> None:
        """Import: what was away and is here again comes back, what is not here is known by its number."""
        for leaf in self.leaves:
            leaf.errors = 0
            leaf.unknown = leaf.name not in usable
            if leaf.state in ("REMOVED", "UNAVAIL"):
                self._revive(leaf, usable)
            if leaf.unknown and leaf.state != "OFFLINE":
                leaf.state = "UNAVAIL"

    def look(self) -> None:
        """A moment passes."""
        if self.scan is None or self.scan[1] != "running":
            return
        if self.left > 0:
            self.left -= 1
            return
        function = self.scan[0]
        self.scan = (function, "finished")
        if function == "resilver":
            self._resilvered()

    def status(self, name: str, health: str) -> Iterator[str]:
        """What `zpool status -P -p` prints."""
        yield from (f"  pool: {name}", f" state: {health}")
        yield from self._scan_lines()
        yield from ("config:", "", "\tNAME STATE READ WRITE CKSUM", f"\t{name} {health} 0 0 0")
        for number, vdev in enumerate(self.vdevs):
            yield f"\t  {vdev.kind}-{number} {vdev.health} 0 0 0"
            for place, slot in enumerate(vdev.slots):
                if len(slot) > 1:
                    yield f"\t    replacing-{place} {vdev.health} 0 0 0"
                yield from (leaf.row("\t      " if len(slot) > 1 else "\t    ") for leaf in slot)
        yield from ("", f"errors: {self.damaged}")

    def sizes(self, name: str, health: str, sizes: Mapping[str, int]) -> Iterator[str]:
        """What `zpool list -H -P -p -v` prints."""
        total = sum(vdev.size for vdev in self.vdevs)
        yield f"{name}\t{total}\t65536\t{total - 65536}\t-\t-\t0\t0\t1.00\t{health}\t/mnt"
        for number, vdev in enumerate(self.vdevs):
            more = max(0, vdev.possible(sizes) - vdev.size) or "-"
            row = (vdev.size, 65536, vdev.size - 65536, "-", more, 0, 0, "-", vdev.health)
            yield f"\t{vdev.kind}-{number}\t" + "\t".join(map(str, row))
            for leaf in vdev.leaves:
                yield f"\t{leaf.path}\t{sizes.get(leaf.name, '-')}\t-\t-\t-\t-\t-\t-\t-\t{leaf.state}"

    def _scan_lines(self) -> Iterator[str]:
        when = f"{self.now:%a %b %e %H:%M:%S %Y}"
        match self.scan:
            case (function, "running"):
                yield f"  scan: {function} in progress since {when}"
                yield "\t40960 / 65536 scanned at 8192/s, 32768 / 65536 issued at 4096/s"
                yield "\t0 resilvered, 50.00% done, 00:00:08 to go"
            case ("scrub", "paused"):
                yield f"  scan: scrub paused since {when}"
            case ("scrub", _):
                yield f"  scan: scrub repaired 0B in 00:00:02 with {self.scrub_errors} errors on {when}"
            case ("resilver", _):
                yield f"  scan: resilvered 32768 in 00:00:05 with 0 errors on {when}"

    def _of(self, leaf: Leaf) -> tuple[TopVdev, list[Leaf]]:
        return next((vdev, slot) for vdev in self.vdevs for slot in vdev.slots if any(each is leaf for each in slot))

    def _revive(self, leaf: Leaf, usable: set[str]) -> None:
        if leaf.name not in usable:
            return
        leaf.state, leaf.unknown, leaf.resilvering = "ONLINE", False, True
        self.resilver()

    def _resilvered(self) -> None:
        for vdev in self.vdevs:
            for slot in vdev.slots:
                for leaf in slot:
                    leaf.resilvering = leaf.resilvering and leaf.state != "ONLINE"
                if slot[-1].whole:
                    del slot[:-1]


def _readable(leaf: Leaf, usable: set[str]) -> bool:
    return leaf.name in usable and not leaf.resilvering and leaf.state != "OFFLINE"
