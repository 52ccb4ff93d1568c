"""Restores files from a staged folder, wherever it stands: with all their metadata, and to a new place.

Contents come from `objects/` alone, by the manifest, so a copy in which links were lost will do, and one to which they
are brought. A file is decrypted under a number and gets its names when its digests are right and its metadata is set;
until then nothing has its name.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ec2zfs.encryption.identities import Identity
from ec2zfs.encryption.interface import Done, Failed, Task
from ec2zfs.encryption.orders import Orders
from ec2zfs.encryption.streams import shown, unwritable
from ec2zfs.errors import AlreadyThere, NoSpace
from ec2zfs.model.tree import FileKind, depth, name, parent
from ec2zfs.staging.directories import Directories
from ec2zfs.staging.folder import Folder
from ec2zfs.staging.manifest import Entry, Manifest, manifest_at
from ec2zfs.staging.metadata import described, made
from ec2zfs.staging.objects import PRESENT, Objects
from ec2zfs.staging.patterns import Patterns
from ec2zfs.staging.records import Meta
from ec2zfs.staging.report import Advance
from ec2zfs.staging.seals import read_seals
from ec2zfs.staging.tasks import outcomes
from ec2zfs.staging.terms import Label

_WORK = ".ec2zfs-restoring-"


@dataclass(frozen=True)
class Choice:
    """What is restored: paths that the patterns mean (see patterns.py; none: all), at the snapshot of a segment.

    Without a number it is the last. Of an earlier one only those contents are there that were not changed since.
    """

    patterns: tuple[str, ...] = ()
    number: int | None = None


@dataclass(frozen=True)
class Problem:
    """A path, and what is wrong with it."""

    path: bytes
    why: str


@dataclass(frozen=True)
class Restored:
    """What was restored of a snapshot: names of every kind, and the bytes of the files' contents.

    `failed` are paths that are not there, each for a reason; `incomplete` those without some of their metadata;
    `unmatched` the patterns that met nothing.
    """

    label: Label
    names: int
    bytes: int
    failed: tuple[Problem, ...]
    incomplete: tuple[Problem, ...]
    unmatched: tuple[str, ...]


def restored(
    folder: Path,
    identity: Identity,
    choice: Choice,
    target: Path,
    told: Callable[[Advance], None],
    objects: Objects = PRESENT,
) -> Restored:
    """Restore what is chosen into a directory, which is made, or is empty. `objects` has them stand in the folder.

    Raises `AlreadyThere` for one that is not, `WrongIdentity` and `Damaged` when the manifest cannot be read,
    `NoSpace`, and what `objects` raises. A file that cannot be restored is named; the others are.
    """
    place = Folder(folder)
    manifest = manifest_at(place, identity, choice.number)
    _claim(target)
    with Directories(target) as directories:
        return _Restoring(place, manifest, directories, objects).restored(identity, Patterns(choice.patterns), told)


def require_vacant(target: Path) -> None:
    """Raise `AlreadyThere` when there is something in the directory that is to be restored into."""
    try:
        is_empty = not os.path.lexists(target) or not any(target.iterdir())
    except OSError as error:
        raise unwritable(shown(str(target)), error) from error
    if not is_empty:
        raise AlreadyThere(f"{shown(str(target))} is not empty; nothing was restored, so as to overwrite nothing.")


def _claim(target: Path) -> None:
    try:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(shown(str(target)), error) from error
    require_vacant(target)


class _Restoring:
    def __init__(self, place: Folder, manifest: Manifest, target: Directories, objects: Objects) -> None:
        self._place = place
        self._manifest = manifest
        self._target = target
        self._objects = objects
        self._work = target.root / (_WORK + secrets.token_hex(8))
        self._changed_since = _changed_since(place, manifest.number)
        self._files: dict[int, list[bytes]] = {}
        self._folders = list[tuple[bytes, Meta]]()
        self._others: dict[int, bytes] = {}
        self._failed = list[Problem]()
        self._incomplete = list[Problem]()
        self._names = 0
        self._bytes = 0

    def restored(self, identity: Identity, patterns: Patterns, told: Callable[[Advance], None]) -> Restored:
        for entry in _chosen(self._manifest, patterns):
            self._begin(entry)
        self._work.mkdir(mode=0o700)
        try:
            with closing(self._tasks()) as tasks:
                for outcome in outcomes(Orders(identity, durable=True, holes=True), tasks):
                    self._took(outcome)
                    told(Advance(self._names, self._bytes, len(self._failed)))
        finally:
            shutil.rmtree(self._work)
        for path, meta in sorted(self._folders, key=lambda each: depth(each[0]) + bool(each[0]), reverse=True):
            self._describe(path, meta)
        return Restored(
            self._manifest.label,
            self._names,
            self._bytes,
            tuple(self._failed),
            tuple(self._incomplete),
            tuple(patterns.unmatched),
        )

    def _begin(self, entry: Entry) -> None:
        """Make what has no content, and note what has."""
        path, inode, meta = entry
        if inode in self._manifest.unread:
            self._fail(path, f"it could not be read when it was staged: {self._manifest.unread[inode]}")
        elif meta is None:
            self._fail(path, "staging was never told what it is")
        elif why := self._lacking(meta):
            self._fail(path, why)
        elif meta.kind is FileKind.FILE:
            self._files.setdefault(inode, []).append(path)
        else:
            with self._failing(path):
                self._make(path, meta)

    def _lacking(self, meta: Meta) -> str:
        """Why an object cannot be restored; empty if it can, as far as is known."""
        if meta.kind is FileKind.FILE and meta.inode in self._changed_since:
            return "it was changed or removed since, and its content of then is not in this folder any more"
        if meta.kind is FileKind.FILE and meta.inode not in self._manifest.objects:
            return "it was never encrypted"
        return ""

    def _make(self, path: bytes, meta: Meta) -> None:
        directory = self._directory(path)
        if meta.kind is FileKind.DIRECTORY:
            if path:
                os.mkdir(name(path), 0o700, dir_fd=directory)
            self._folders.append((path, meta))
        elif meta.inode in self._others:
            first = self._others[meta.inode]
            source = b"/proc/self/fd/%d/%s" % (self._directory(first), name(first))
            os.link(source, name(path), dst_dir_fd=self._directory(path), follow_symlinks=False)
        else:
            made(meta, name(path), directory)
            self._others[meta.inode] = path
            self._describe(path, meta)
        self._names += 1

    def _tasks(self) -> Generator[Task]:
        for inode in self._objects.brought({each: self._manifest.objects[each].size for each in self._files}):
            yield Task(self._place.object(inode), str(self._work / f"{inode:x}"))

    def _took(self, outcome: Done | Failed) -> None:
        made_ = Path(outcome.task.target)
        inode = int(made_.name, 16)
        self._objects.used(inode)
        names = self._files[inode]
        why = outcome.error.message if isinstance(outcome, Failed) else self._mistaken(inode, outcome)
        if isinstance(outcome, Failed) and isinstance(outcome.error, NoSpace):
            raise outcome.error
        if why:
            for path in names:
                self._fail(path, why)
        else:
            self._finish(made_, inode, names)
        made_.unlink(missing_ok=True)

    def _mistaken(self, inode: int, done: Done) -> str:
        """Why what was decrypted is not what was encrypted; empty if it is."""
        if done.read != self._manifest.objects[inode]:
            return "its object is not the one that was sealed: it was altered or damaged, or put in another's place"
        return "" if self._manifest.agrees(inode, done) else "its content is not the one that was encrypted"

    def _finish(self, made_: Path, inode: int, names: list[bytes]) -> None:
        meta = self._manifest.metas[inode]
        with Directories(self._work) as work:
            problems = described(meta, os.fsencode(made_.name), work.descriptor(b"") or 0)
        shown_ = 0
        for path in names:
            with self._failing(path):
                os.link(made_, name(path), dst_dir_fd=self._directory(path))
                shown_ += 1
                self._incomplete.extend(Problem(path, each) for each in problems)
        self._names += shown_
        self._bytes += meta.size if shown_ else 0

    def _describe(self, path: bytes, meta: Meta) -> None:
        directory = self._directory(path)
        problems = described(meta, name(path) or b".", directory)
        self._incomplete.extend(Problem(path, each) for each in problems)

    def _directory(self, path: bytes) -> int:
        """The descriptor of the directory that is to name a path, good until the next call. Raises OSError."""
        found = self._target.descriptor(parent(path))
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "the directory above it is not there")
        return found

    def _fail(self, path: bytes, why: str) -> None:
        self._failed.append(Problem(path, why))

    @contextmanager
    def _failing(self, path: bytes) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if isinstance(told := unwritable(self._target.shown(path), error), NoSpace):
                raise told from error
            self._fail(path, error.strerror or str(error))


def _changed_since(place: Folder, number: int) -> frozenset[int]:
    """The files that have another object, or none, since the snapshot of a segment."""
    changed = set[int]()
    for later in place.numbers():
        if later > number:
            sealed = read_seals(place.seals(later))
            changed |= sealed.written.keys() | sealed.removed
    return frozenset(changed)


def _chosen(manifest: Manifest, patterns: Patterns) -> Iterator[Entry]:
    """What is meant, with the directories above it, which come first; the root itself if everything is meant."""
    above = list[Entry]()
    for entry in manifest.entries():
        while above and not _is_above(above[-1].path, entry.path):
            above.pop()
        if patterns.match(entry.path) and (entry.path or patterns.all):
            yield from above
            above.clear()
            yield entry
        elif entry.path and entry.meta is not None and entry.meta.kind is FileKind.DIRECTORY:
            above.append(entry)


def _is_above(directory: bytes, path: bytes) -> bool:
    return path.startswith(directory + b"/")
