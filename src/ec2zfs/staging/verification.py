"""Proves a staged folder: without an identity its ciphertexts by the seals, with one the contents and the names too.

The seals stand beside what they seal, so they tell damage and no intent: whoever can write to the folder can write
seals. Nothing that is decrypted here is written anywhere.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ec2zfs.encryption.identities import Identity
from ec2zfs.encryption.interface import NOWHERE, Content, Failed, Task
from ec2zfs.encryption.orders import Orders
from ec2zfs.encryption.streams import shown
from ec2zfs.errors import Damaged, Ec2zfsError, Unreadable
from ec2zfs.model.tree import FileKind
from ec2zfs.staging.folder import SHARDS, Folder, Header, read_header
from ec2zfs.staging.manifest import Manifest, manifest_at
from ec2zfs.staging.report import Advance
from ec2zfs.staging.seals import read_seals
from ec2zfs.staging.shown import DIRECTORY, digest, shown_objects
from ec2zfs.staging.tasks import outcomes
from ec2zfs.staging.terms import NameMode

_LARGE = 1 << 20
_AHEAD = 64
_UNKNOWN = -2
"""In the place of an object's number."""

_Contents = Iterator[tuple[int, Content | Ec2zfsError]]


@dataclass(frozen=True)
class Finding:
    """Something in the folder that is not as it should be: its path below the folder, and why."""

    path: str
    why: str


@dataclass(frozen=True)
class Verified:
    """What was looked at, and found: objects, and their bytes (of contents, with an identity).

    `unread` files could not be read by the last run that staged, which is no damage. `snapshots` are proved.
    """

    snapshots: int
    objects: int
    bytes: int
    unread: int
    findings: tuple[Finding, ...]


def verified(folder: Path, identity: Identity | None, told: Callable[[Advance], None]) -> Verified:
    """Look at everything in the folder. Raises `Refused` for one that is not ours, `Unreadable` for one that is away.

    `Advance` counts objects, and findings as unread.
    """
    verification = _Verification(Folder(folder), read_header(Folder(folder)), told)
    return verification.verified(identity)


class _Verification:
    def __init__(self, place: Folder, header: Header, told: Callable[[Advance], None]) -> None:
        self._place = place
        self._header = header
        self._told = told
        self._sealed: dict[int, Content] = {}
        self._findings = list[Finding]()
        self._objects = 0
        self._bytes = 0

    def verified(self, identity: Identity | None) -> Verified:
        self._find_foreign()
        numbers, unread = self._read_manifest()
        there = self._listed_objects()
        manifest = None if identity is None else self._manifest(identity)
        if identity is None:
            self._judge(_hashed(self._place, self._sealed, there))
        else:
            self._judge(self._decrypted(identity, manifest, there))
        if self._header.names is NameMode.PLAIN:
            self._compare_names(there, manifest)
        if manifest is not None:
            self._compare_objects(manifest)
        return Verified(len(numbers), self._objects, self._bytes, unread, tuple(self._findings))

    def _find(self, path: Path, why: str) -> None:
        self._findings.append(Finding(shown(os.path.relpath(path, self._place.path)), why))

    def _find_foreign(self) -> None:
        place = self._place
        ours = {place.header, place.objects, place.manifest}
        if self._header.names is NameMode.PLAIN:
            ours.add(place.files)
        for each in place.path.iterdir():
            if each == place.unfinished:
                self._find(each, "the folder was left in the middle of being brought to a snapshot")
            elif each not in ours:
                self._find(each, "it is nothing of ours")

    def _read_manifest(self) -> tuple[list[int], int]:
        """Read all seals, and look at their segments; the segments' numbers, and how many files are unread."""
        numbers, unread = self._place.numbers(), 0
        expected = set[Path]()
        for number in range(1, max(numbers, default=1) + 1):
            seals, segment = self._place.seals(number), self._place.segment(number, self._header.format)
            expected |= {seals, segment}
            try:
                sealed = read_seals(seals)
                if digest(segment) != sealed.segment:
                    self._find(segment, "it is not what was sealed")
            except (Unreadable, Damaged) as error:
                self._find(segment, error.message)
                continue
            for inode in sealed.removed:
                self._sealed.pop(inode, None)
            self._sealed |= sealed.written
            unread = len(sealed.unread)
        for each in set(self._place.manifest.iterdir()) - expected:
            self._find(each, "it is nothing of ours")
        return numbers, unread

    def _listed_objects(self) -> list[int]:
        """The sealed objects that are there."""
        there = list[int]()
        for shard in self._place.objects.iterdir():
            if shard.name not in SHARDS or not shard.is_dir() or shard.is_symlink():
                self._find(shard, "it is nothing of ours")
                continue
            for each in shard.iterdir():
                inode = _number(each.name)
                if inode in self._sealed and str(each) == self._place.object(inode):
                    there.append(inode)
                else:
                    self._find(each, "no seal knows it")
        for inode in self._sealed.keys() - set(there):
            self._find(Path(self._place.object(inode)), "it is missing")
        return there

    def _decrypted(self, identity: Identity, manifest: Manifest | None, inodes: Iterable[int]) -> _Contents:
        """The ciphertext of each object, once it was decrypted; plaintexts are compared on the way."""
        tasks = (Task(self._place.object(inode), NOWHERE) for inode in inodes)
        for outcome in outcomes(Orders(identity, durable=False), tasks):
            inode = int(Path(outcome.task.source).name, 16)
            if isinstance(outcome, Failed):
                yield inode, outcome.error
                continue
            yield inode, outcome.read
            if manifest is not None and not manifest.agrees(inode, outcome):
                self._find(Path(self._place.object(inode)), "its content is not the one that was encrypted")

    def _judge(self, contents: _Contents) -> None:
        for inode, content in contents:
            self._objects += 1
            if isinstance(content, Ec2zfsError):
                self._find(Path(self._place.object(inode)), content.message)
            else:
                self._bytes += content.size
                if content != self._sealed[inode]:
                    self._find(Path(self._place.object(inode)), "it is not what was sealed")
            self._told(Advance(self._objects, self._bytes, len(self._findings)))

    def _manifest(self, identity: Identity) -> Manifest | None:
        """The last snapshot's tree; None, and a finding, if it cannot be had."""
        try:
            return manifest_at(self._place, identity)
        except Ec2zfsError as error:
            self._find(self._place.manifest, error.message)
            return None

    def _compare_names(self, there: Iterable[int], manifest: Manifest | None) -> None:
        """Look at the names that are shown: each is a known object's, and the manifest's if that can be read."""
        wanted = {} if manifest is None else _shown_names(manifest)
        for path, number in shown_objects(self._place, there, self._sealed):
            if number is None:
                self._find(self._named(path), "it shows no object")
            elif manifest is not None and wanted.pop(path, None) not in (number, _UNKNOWN):
                self._find(self._named(path), "the manifest has something else there")
        for path, meant in wanted.items():
            if meant != _UNKNOWN:
                self._find(self._named(path), "it is missing")

    def _compare_objects(self, manifest: Manifest) -> None:
        """Look at the manifest's tree: each file has an object, and each object a file."""
        files = set[int]()
        for path, inode, meta in manifest.entries():
            if inode in manifest.unread or (meta is not None and meta.kind is FileKind.FILE):
                files.add(inode)
                if inode not in manifest.objects and inode not in manifest.unread:
                    self._find(self._named(path), "it has no object")
            elif meta is None:
                self._find(self._named(path), "staging was never told what it is")
        for inode in self._sealed.keys() - files:
            self._find(Path(self._place.object(inode)), "it is no file's")

    def _named(self, path: bytes) -> Path:
        return self._place.files / os.fsdecode(path)


def _shown_names(manifest: Manifest) -> dict[bytes, int]:
    """The object that each path below `files/` is to show; of what could not be read, nobody knows it."""
    found: dict[bytes, int] = {}
    for path, inode, meta in manifest.entries():
        if inode in manifest.unread:
            found[path] = _UNKNOWN
        elif path and meta is not None and meta.kind is FileKind.DIRECTORY:
            found[path] = DIRECTORY
        elif meta is not None and meta.kind is FileKind.FILE and inode in manifest.objects:
            found[path] = inode
    return found


def _hashed(place: Folder, sealed: Mapping[int, Content], inodes: Iterable[int]) -> _Contents:
    """The ciphertext of each object. Large ones are read side by side, since hashing does not hold Python's lock."""
    ahead = deque[tuple[int, Future[Content]]]()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        for inode in inodes:
            path = Path(place.object(inode))
            if sealed[inode].size < _LARGE:
                yield inode, _content(partial(digest, path))
                continue
            ahead.append((inode, threads.submit(digest, path)))
            if len(ahead) >= _AHEAD:
                yield _first(ahead)
        while ahead:
            yield _first(ahead)


def _first(ahead: deque[tuple[int, Future[Content]]]) -> tuple[int, Content | Ec2zfsError]:
    inode, content = ahead.popleft()
    return inode, _content(content.result)


def _content(read: Callable[[], Content]) -> Content | Ec2zfsError:
    try:
        return read()
    except Ec2zfsError as error:
        return error


def _number(name: str) -> int:
    try:
        return int(name, 16)
    except ValueError:
        return -1
