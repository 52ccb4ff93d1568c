"""A ZFS pool in memory: datasets, snapshots, bookmarks, streams and partial receives, by OpenZFS's rules and words.

Contents are sizes only: a snapshot's `size` is what it changed. GUIDs and transaction groups are counted, never random.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

GUIDS = itertools.count(0x1000)
EPOCH = 1764200000
"""When a hold is put on in transaction group 0; a second goes by with each."""


class ZfsSays(Exception):
    """A refusal: its text goes to standard error, `out` to standard output before it."""

    def __init__(self, words: str, out: str = "") -> None:
        super().__init__(words)
        self.out = out


@dataclass(frozen=True)
class Snap:
    """A snapshot, or the snapshot that a bookmark stands for."""

    name: str
    guid: int
    txg: int
    size: int
    properties: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Stream:
    """What `zfs send` prints. `size` is the whole, of which `offset` bytes were sent before."""

    name: str
    to_guid: int
    from_guid: int
    raw: bool
    encrypted: bool
    kind: str
    size: int
    offset: int = 0
    resumed: bool = False

    def token(self, offset: int) -> str:
        held = {"name": self.name, "to": self.to_guid, "from": self.from_guid, "raw": self.raw, "bytes": offset}
        return f"1-{len(self.name):x}-{self.size:x}-{json.dumps(held).encode().hex()}"


@dataclass
class FakeDataset:
    """A file system or volume of the pool; `receiving` while a stream comes in.

    `holds`: by the snapshot's GUID each tag with its time. `origin`: of a clone, the snapshot's GUID. `properties` are
    those set locally, `received` came in a stream, `temporary` are options of its mount.
    """

    guid: int
    kind: str = "filesystem"
    encrypted: bool = False
    snapshots: list[Snap] = field(default_factory=list)
    bookmarks: list[Snap] = field(default_factory=list)
    properties: dict[str, str] = field(default_factory=dict)
    received: dict[str, str] = field(default_factory=dict)
    temporary: dict[str, str] = field(default_factory=dict)
    written: int = 0
    partial: tuple[Stream, int] | None = None
    receiving: bool = False
    holds: dict[int, dict[str, int]] = field(default_factory=dict)
    origin: int = 0

    @property
    def token(self) -> str:
        return self.partial[0].token(self.partial[1]) if self.partial else "-"


def token_contents(token: str) -> str:
    """What `zstream token` prints."""
    held = json.loads(bytes.fromhex(token.split("-")[3]))
    lines = [f"toguid = {held['to']:#x}", f"toname = {held['name']}", f"bytes = {held['bytes']:#x}", "compressok = 1"]
    lines += [f"fromguid = {held['from']:#x}"] if held["from"] else []
    lines += ["rawok = 1"] if held["raw"] else []
    return "resume token contents:\nnvlist version: 0\n" + "".join(f"\t{line}\n" for line in lines)


@dataclass
class Pool:
    """All datasets of a host. `unknown` are properties that its version of ZFS does not have."""

    datasets: dict[str, FakeDataset] = field(default_factory=dict)
    available: int = 1 << 40
    txg: int = 0
    unknown: frozenset[str] = frozenset()

    def create(
        self, name: str, *, kind: str = "filesystem", encrypted: bool = False, properties: dict[str, str] | None = None
    ) -> FakeDataset:
        if name in self.datasets:
            raise ZfsSays(f"cannot create '{name}': dataset already exists")
        if "/" in name and name.rsplit("/", 1)[0] not in self.datasets:
            raise ZfsSays(f"cannot create '{name}': parent does not exist")
        self.datasets[name] = FakeDataset(next(GUIDS), kind, encrypted, properties=properties or {})
        return self.datasets[name]

    def snapshot(self, dataset: str, name: str, size: int = 100, properties: tuple[tuple[str, str], ...] = ()) -> Snap:
        found = self.find(dataset)
        if any(snap.name == name for snap in found.snapshots):
            raise ZfsSays(f"cannot create snapshot '{dataset}@{name}': dataset already exists")
        self.txg += 1
        return self._taken(found, name, size, properties)

    def _taken(self, found: FakeDataset, name: str, size: int, properties: tuple[tuple[str, str], ...]) -> Snap:
        """A snapshot in the transaction group that there is now."""
        found.snapshots.append(Snap(name, next(GUIDS), self.txg, size, properties))
        found.written = 0
        return found.snapshots[-1]

    def take(self, names: Sequence[str], properties: dict[str, str]) -> None:
        wanted = dict.fromkeys((name.partition("@")[0], name.partition("@")[2]) for name in names)
        assert len({dataset.partition("/")[0] for dataset, _ in wanted}) == 1, "one pool for each zfs snapshot"
        for dataset, name in wanted:
            if any(snap.name == name for snap in self.find(dataset).snapshots):
                raise ZfsSays(
                    f"cannot create snapshot '{dataset}@{name}': dataset already exists\nno snapshots were created"
                )
        self.txg += 1
        for dataset, name in wanted:
            self._taken(self.find(dataset), name, 100, tuple(properties.items()))

    def bookmark(self, snapshot: str, bookmark: str) -> None:
        dataset, name = bookmark.split("#")
        snap = self._entry(snapshot)
        if any(other.name == name for other in self.find(dataset).bookmarks):
            raise ZfsSays(f"cannot create bookmark '{bookmark}': bookmark exists")
        self.find(dataset).bookmarks.append(Snap(name, snap.guid, snap.txg, 0))

    def destroy_bookmark(self, bookmark: str) -> None:
        self.find(bookmark.partition("#")[0]).bookmarks.remove(self._entry(bookmark))

    def _require_free(self, snapshot: str) -> None:
        found, gone = self.find(snapshot.partition("@")[0]), self._entry(snapshot)
        if found.holds.get(gone.guid):
            raise ZfsSays(
                f"cannot destroy snapshot {snapshot}: it's being held. Run 'zfs holds -r {snapshot}' to see holders."
            )
        if clones := self.clones(gone.guid):
            told = "\n".join(clones)
            raise ZfsSays(
                f"cannot destroy '{snapshot}': snapshot has dependent clones\n"
                f"use '-R' to destroy the following datasets:\n{told}"
            )

    def destroy_snapshots(self, names: str, *, preview: bool) -> str:
        """`zfs destroy -vp DATASET@A,B`: all of them or none."""
        dataset, _, shorts = names.partition("@")
        doomed = [f"{dataset}@{short}" for short in shorts.split(",")]
        if not all(map(self._stands, doomed)):
            raise ZfsSays("could not find any snapshots to destroy; check snapshot names.")
        reclaimed = sum(self._entry(each).size for each in doomed)
        for each in doomed:
            self._require_free(each)
        for each in doomed:
            if not preview:
                self.destroy_snapshot(each)
        return "".join(f"destroy\t{each}\n" for each in doomed) + f"reclaim\t{reclaimed}\n"

    def destroy_snapshot(self, snapshot: str) -> None:
        self._require_free(snapshot)
        found, gone = self.find(snapshot.partition("@")[0]), self._entry(snapshot)
        place = found.snapshots.index(gone)
        del found.snapshots[place]
        if place == len(found.snapshots):
            found.written += gone.size
        else:
            heir = found.snapshots[place]
            found.snapshots[place] = replace(heir, size=heir.size + gone.size)

    def clone(self, snapshot: str, name: str) -> None:
        origin = self._entry(snapshot)
        self.create(name).origin = origin.guid

    def clones(self, guid: int) -> list[str]:
        return [name for name, held in self.datasets.items() if held.origin == guid]

    def hold(self, tag: str, snapshots: Sequence[str]) -> None:
        """Hold those that can be; the others are told together at the end."""
        self._each(snapshots, lambda name: self._hold(tag, name))

    def _hold(self, tag: str, name: str) -> None:
        held = self._held(name, f"cannot hold snapshot '{name}'")
        if tag in held:
            raise ZfsSays(f"cannot hold snapshot '{name}': tag already exists on this dataset")
        self.txg += 1
        held[tag] = EPOCH + self.txg

    def release(self, tag: str, snapshots: Sequence[str]) -> None:
        """Release those that can be; the others are told together at the end."""
        self._each(snapshots, lambda name: self._release(tag, name))

    def _release(self, tag: str, name: str) -> None:
        held = self._held(name, f"cannot release hold from snapshot '{name}'")
        if tag not in held:
            raise ZfsSays(f"cannot release hold from snapshot '{name}': no such tag on this dataset")
        del held[tag]

    def _held(self, name: str, refusal: str) -> dict[str, int]:
        found = self.find(name.partition("@")[0])
        snap = next((snap for snap in found.snapshots if snap.name == name.partition("@")[2]), None)
        if snap is None:
            raise ZfsSays(f"{refusal}: dataset does not exist")
        return found.holds.setdefault(snap.guid, {})

    @staticmethod
    def _each(snapshots: Sequence[str], do: Callable[[str], None]) -> None:
        refusals = []
        for name in snapshots:
            try:
                do(name)
            except ZfsSays as refusal:
                refusals.append(str(refusal))
        if refusals:
            raise ZfsSays("\n".join(refusals))

    def holds(self, snapshots: Sequence[str], *, seconds: bool = True) -> str:
        """What `zfs holds -Hp` prints; without `-p` it tells the time in words."""
        lines: list[str] = []

        def tell(name: str) -> None:
            held = self.find(name.partition("@")[0]).holds.get(self._entry(name).guid, {})
            for tag, when in held.items():
                words = time.strftime("%a %b %e %H:%M %Y", time.gmtime(when))
                lines.append(f"{name}\t{tag}\t{when if seconds else words}\n")

        try:
            self._each(snapshots, tell)
        except ZfsSays as refusal:
            raise ZfsSays(str(refusal), "".join(lines)) from None
        return "".join(lines)

    def user_property(self, name: str, prop: str) -> str:
        """The value of the dataset or of the nearest one above that has one."""
        words = name.split("/")
        above = ("/".join(words[:count]) for count in range(len(words), 0, -1))
        values = (self.datasets[each].properties.get(prop) for each in above if each in self.datasets)
        return next((value for value in values if value), "-")

    def abort(self, name: str) -> None:
        found = self.find(name)
        if not found.partial:
            raise ZfsSays(f"'{name}' does not have any resumable receive state to abort")
        if found.receiving:
            raise ZfsSays(f"cannot destroy '{name}{'/%recv' if found.snapshots else ''}': dataset is busy")
        found.partial = None
        if not found.snapshots:
            del self.datasets[name]

    def stream(self, to: str, base: str | None, *, raw: bool) -> Stream:
        snap, found = self._entry(to), self.find(to.partition("@")[0])
        assert raw or not found.encrypted, f"{to} is encrypted and would be sent plain"
        start = self._entry(base) if base else None
        if start and start.txg >= snap.txg:
            raise ZfsSays(f"cannot send '{to}': not an earlier snapshot from the same fs")
        since = start.txg if start else 0
        size = sum(other.size for other in found.snapshots if since < other.txg <= snap.txg)
        return Stream(to, snap.guid, start.guid if start else 0, raw, found.encrypted, found.kind, size)

    def resumed(self, token: str) -> Stream:
        held = json.loads(bytes.fromhex(token.split("-")[3]))
        dataset = held["name"].split("@")[0]
        if not any(f"{dataset}@{snap.name}" == held["name"] for snap in self.find(dataset).snapshots):
            raise ZfsSays(f"cannot resume send: '{held['name']}' no longer exists")
        if self._entry(held["name"]).guid != held["to"]:
            raise ZfsSays(
                f"cannot resume send: '{held['name']}' is no longer the same snapshot used in the initial send"
            )
        entries = (*self.find(dataset).snapshots, *self.find(dataset).bookmarks)
        start = next((entry for entry in entries if entry.guid == held["from"]), None)
        if held["from"] and not start:
            raise ZfsSays("cannot resume send: incremental source no longer exists")
        sign = "@" if start in self.find(dataset).snapshots else "#"
        whole = self.stream(held["name"], f"{dataset}{sign}{start.name}" if start else None, raw=held["raw"])
        return Stream(**{**whole.__dict__, "offset": held["bytes"], "resumed": True})

    def receive(self, target: str, stream: Stream, properties: dict[str, str]) -> None:
        """Begin to receive: refuse, or stand ready at the stream's offset."""
        found = self.datasets.get(target)
        if found is None:
            if stream.from_guid:
                raise ZfsSays(f"cannot receive incremental stream: destination '{target}' does not exist")
            above = self.datasets.get(target.rpartition("/")[0])
            if above and above.encrypted and not stream.encrypted and properties.get("encryption") != "off":
                raise ZfsSays("cannot receive new filesystem stream: inherited key must be loaded")
            found = self.create(target, kind=stream.kind, encrypted=stream.encrypted, properties=properties)
        else:
            self._admit(target, found, stream)
        found.partial, found.receiving = (stream, stream.offset), True

    def receive_ends(self, target: str) -> None:
        """The program that received is gone, whatever came of it."""
        self.find(target).receiving = False

    def receives_end(self) -> None:
        """All programs that received are gone."""
        for dataset in self.datasets.values():
            dataset.receiving = False

    def receive_upto(self, target: str, stream: Stream, upto: int) -> None:
        """Take in the stream up to there; all of it makes the snapshot."""
        found = self.find(target)
        if upto > self.available:
            found.partial = (stream, self.available)
            raise ZfsSays(
                f"cannot receive {'incremental' if stream.from_guid else 'new filesystem'} stream: out of space"
            )
        found.partial = (stream, upto)
        if upto == stream.size:
            found.partial = None
            self.txg += 1
            self.available -= stream.size
            found.snapshots.append(Snap(stream.name.split("@")[1], stream.to_guid, self.txg, stream.size))

    def _admit(self, target: str, found: FakeDataset, stream: Stream) -> None:
        kind = "resume" if stream.resumed else "incremental" if stream.from_guid else "new filesystem"
        if kind == "new filesystem":
            raise ZfsSays(
                f"cannot receive {kind} stream: destination '{target}' exists\nmust specify -F to overwrite it"
            )
        if found.receiving or (found.partial and not stream.resumed):
            partial = f'destination {target} contains partially-complete state from "zfs receive -s".'
            raise ZfsSays(f"cannot receive {kind} stream: {partial}")
        if stream.resumed:
            if not found.partial or (found.partial[0].to_guid, found.partial[1]) != (stream.to_guid, stream.offset):
                raise ZfsSays("cannot receive resume stream: incompatible resume token")
            return
        assert found.encrypted == stream.encrypted, "raw and plain streams are mixed"
        base = next((snap for snap in found.snapshots if snap.guid == stream.from_guid), None)
        if not base:
            raise ZfsSays(
                f"cannot receive {kind} stream: most recent snapshot of {target} does not\nmatch incremental source"
            )
        if found.written or any(snap.size for snap in found.snapshots if snap.txg > base.txg):
            raise ZfsSays(
                f"cannot receive {kind} stream: destination {target} has been modified\nsince most recent snapshot"
            )

    def listing(self, names: Sequence[str], types: Sequence[str], columns: Sequence[str], depth: int | None) -> str:
        lines: dict[str, None] = {}
        missing = []
        for name in names:
            if not self._stands(name):
                missing.append(f"cannot open '{name}': dataset does not exist")
                continue
            rows = [name] if "@" in name or "#" in name else self._rows(name, types, depth)
            lines |= dict.fromkeys("\t".join(self._value(row, column) for column in columns) + "\n" for row in rows)
        if missing:
            raise ZfsSays("\n".join(missing), "".join(lines))
        return "".join(lines)

    def find(self, name: str) -> FakeDataset:
        if name not in self.datasets:
            raise ZfsSays(f"cannot open '{name}': dataset does not exist")
        return self.datasets[name]

    def _below(self, name: str, depth: int | None) -> list[str]:
        inside = [other for other in sorted(self.datasets) if other == name or other.startswith(f"{name}/")]
        return [other for other in inside if depth is None or other.count("/") - name.count("/") <= depth]

    def _rows(self, name: str, types: Sequence[str], depth: int | None) -> list[str]:
        rows = [other for other in self._below(name, depth) if self.datasets[other].kind in types]
        for dataset in self._below(name, None if depth is None else depth - 1):
            held = self.datasets[dataset]
            rows += [f"{dataset}@{snap.name}" for snap in held.snapshots if "snapshot" in types]
            rows += [f"{dataset}#{mark.name}" for mark in held.bookmarks if "bookmark" in types]
        return rows

    def _stands(self, name: str) -> bool:
        try:
            self._entry(name) if "@" in name or "#" in name else self.find(name)
        except ZfsSays:
            return False
        return True

    def _entry(self, name: str) -> Snap:
        sign = "@" if "@" in name else "#"
        dataset, short = name.split(sign)
        entries = self.find(dataset).snapshots if sign == "@" else self.find(dataset).bookmarks
        for entry in entries:
            if entry.name == short:
                return entry
        raise ZfsSays(f"cannot open '{name}': dataset does not exist")

    def _value(self, row: str, column: str) -> str:
        if "@" in row or "#" in row:
            entry = self._entry(row)
            refs = str(len(self.find(row.replace("#", "@").partition("@")[0]).holds.get(entry.guid, {})))
            told = {
                "name": row,
                "guid": str(entry.guid),
                "createtxg": str(entry.txg),
                "userrefs": refs,
                "clones": ",".join(self.clones(entry.guid)) or "-",
                "used": str(entry.size),
                "creation": str(EPOCH + entry.txg),
            }
            if column in told:
                return told[column]
            return dict(entry.properties).get(column) or self.user_property(row.partition("@")[0], column)
        held = self.datasets[row]
        if ":" in column:
            return self.user_property(row, column)
        return {
            "name": row,
            "type": held.kind,
            "guid": str(held.guid),
            "encryption": "aes-256-gcm" if held.encrypted else "off",
            "written": str(held.written),
            "available": str(self.available),
            "receive_resume_token": held.token,
        }[column]
