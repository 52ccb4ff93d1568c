"""The whole tree of a staged snapshot, replayed from the segments of the manifest with an identity.

What is replayed was encrypted to public keys, so anybody could have made it: a name that would lead elsewhere is
refused. Which ciphertext belongs to a file at each snapshot say the seals.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from ec2zfs.encryption.identities import Identity
from ec2zfs.encryption.interface import Content, Done
from ec2zfs.encryption.streams import shown
from ec2zfs.errors import Damaged, Ec2zfsError, Refused, WrongIdentity
from ec2zfs.model.tree import FileKind, below
from ec2zfs.staging.folder import Folder, read_header
from ec2zfs.staging.records import Gone, Head, Meta, Named, Record, Stored, Unnamed, Unread
from ec2zfs.staging.seals import Sealed, read_seals
from ec2zfs.staging.segments import read_segment
from ec2zfs.staging.terms import Label

_NO_NAMES = frozenset({b"", b".", b".."})


class Entry(NamedTuple):
    """A path of the tree and what stands there. `meta` is None for what staging was never told of."""

    path: bytes
    inode: int
    meta: Meta | None


@dataclass
class Manifest:
    """The tree at one snapshot, until the next segment is taken.

    `stored` is what became of each file's content when it was encrypted last, as far as that could be read; `objects`
    which object each file has; `unread` why something could not be read.
    """

    number: int = 0
    label: Label = field(default_factory=lambda: Label("", "", 0, 0))
    root: int = 0
    names: dict[int, dict[bytes, int]] = field(default_factory=dict)
    metas: dict[int, Meta] = field(default_factory=dict)
    stored: dict[int, Stored] = field(default_factory=dict)
    objects: dict[int, Content] = field(default_factory=dict)
    unread: dict[int, str] = field(default_factory=dict)

    def entries(self) -> Iterator[Entry]:
        """All paths, each directory before what is in it; the root first, at `b""`. Raises `Damaged` for a circle."""
        ahead, been = [(b"", self.root)], set[int]()
        while ahead:
            path, inode = ahead.pop()
            meta = self.metas.get(inode)
            yield Entry(path, inode, meta)
            if meta is None or meta.kind is not FileKind.DIRECTORY:
                continue
            if inode in been:
                raise Damaged(
                    f"In the manifest a directory stands twice, at {shown(path.decode(errors='replace'))} too."
                )
            been.add(inode)
            children = self.names.get(inode, {})
            ahead += ((below(path, name), children[name]) for name in sorted(children, reverse=True))

    def agrees(self, inode: int, done: Done) -> bool:
        """Whether what was decrypted of an object is what was encrypted, as far as the manifest could be read."""
        stored = self.stored.get(inode)
        if stored is not None and stored.object_digest == done.read.digest:
            return done.written == Content(stored.size, stored.digest)
        return inode not in self.metas or inode in self.unread or self.metas[inode].size == done.written.size

    def seal(self, sealed: Sealed) -> None:
        """Know of the objects that the seals of the next segment tell of."""
        for inode in sealed.removed:
            self.objects.pop(inode, None)
        self.objects |= sealed.written

    def take(self, record: Record) -> None:
        """Know what a record tells. Raises ValueError for one that no tree can have."""
        match record:
            case Head():
                self._begin(record)
            case Unnamed(directory, name):
                self.names.get(directory, {}).pop(name, None)
            case Gone(inode):
                self._forget(inode)
            case Named(directory, name, inode):
                self.names.setdefault(directory, {})[_believed(name)] = inode
            case Meta(inode):
                self.metas[inode] = record
            case Stored(inode):
                self.stored[inode] = record
            case Unread(inode, why):
                self.unread[inode] = why

    def _begin(self, head: Head) -> None:
        self.label = Label(head.dataset, head.snapshot, head.guid, head.created)
        self.root = head.root
        self.unread.clear()
        if head.base:
            self.names.clear()
            self.metas.clear()

    def _forget(self, inode: int) -> None:
        for known in (self.names, self.metas, self.stored):
            known.pop(inode, None)


def manifests(place: Folder, identity: Identity) -> Iterator[Manifest]:
    """The tree at one staged snapshot after the other: always the same object, good until the next is asked for.

    What cannot be decrypted is passed over if a later base can be, since that states everything anew: the snapshots
    between are left out. Raises `WrongIdentity` or `Damaged` if that is not so for the last one, and what `read_header`
    does.
    """
    form = read_header(place).format
    manifest = Manifest()
    fault: Ec2zfsError | None = None
    for number in _numbers(place):
        sealed = read_seals(place.seals(number))
        manifest.number = number
        manifest.seal(sealed)
        if fault is not None and not sealed.base:
            continue
        try:
            for record in read_segment(place.segment(number, form), identity):
                manifest.take(record)
        except (WrongIdentity, Damaged) as error:
            fault = error
        except ValueError as error:
            fault = Damaged(f"{shown(str(place.segment(number, form)))} cannot be believed: {error}.")
        else:
            fault = None
            yield manifest
    if fault is not None:
        raise fault


def manifest_at(place: Folder, identity: Identity, number: int | None = None) -> Manifest:
    """The tree at the snapshot of a segment, or at the last. Raises as `manifests` does, `Refused` if there is none."""
    for manifest in manifests(place, identity):
        if number is None:
            last = manifest
        elif manifest.number == number:
            return manifest
    if number is None:
        return last
    raise Refused(f"{shown(str(place.path))} has no snapshot of number {number} that this identity can read.")


def _believed(name: bytes) -> bytes:
    if name in _NO_NAMES or b"/" in name or b"\0" in name:
        raise ValueError(f"{name!r} can be no name")
    return name


def _numbers(place: Folder) -> list[int]:
    numbers = place.numbers()
    if numbers != list(range(1, len(numbers) + 1)) or not numbers:
        raise Damaged(f"In {shown(str(place.manifest))} seals are missing: there are {numbers or 'none'}.")
    return numbers
