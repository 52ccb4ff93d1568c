"""Brings a staged folder from one snapshot of its source to another, or from nothing to the first.

What is killed meanwhile leaves the folder unfinished, and is to be rolled back to the snapshot of it that was taken
last: nothing here is atomic, and nothing that was interrupted goes on.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ec2zfs.encryption.interface import Task
from ec2zfs.encryption.orders import Orders
from ec2zfs.encryption.streams import shown, unwritable
from ec2zfs.errors import Refused
from ec2zfs.model.tree import Child, FileKind
from ec2zfs.plan.tree_changes import walked
from ec2zfs.plan.tree_comparison import compared
from ec2zfs.plan.tree_hints import Hints
from ec2zfs.plan.tree_names import Name
from ec2zfs.staging.base import Base
from ec2zfs.staging.folder import Folder, Staged, begun, emptied, stands
from ec2zfs.staging.following import Following
from ec2zfs.staging.log import logged
from ec2zfs.staging.records import Head
from ec2zfs.staging.report import Advance, Report
from ec2zfs.staging.seals import read_seals
from ec2zfs.staging.snapshot_tree import SnapshotTree
from ec2zfs.staging.store import Store
from ec2zfs.staging.tasks import outcomes
from ec2zfs.staging.terms import Label, NameMode, Terms
from ec2zfs.staging.view import NoView, View


def bring(
    folder: Path,
    terms: Terms,
    before: Path | None,
    after: Path,
    hints: Hints,
    label: Label,
    told: Callable[[Advance], None],
    *,
    anew: bool = False,
) -> Report:
    """Bring the folder, which stands at the snapshot `before`, to the snapshot `after`; both by their directories.

    The hints lead; with the root among `hints.whole`, or without `before`, everything is looked at and the manifest
    gets a base. So it does when the recipients are others than before: from then on new files are encrypted to these.
    `anew`: everything is encrypted again and the manifest begins again. What could not be read the last time is tried
    again, whatever the hints say. The folder is made if it is not there, and may be an empty directory.

    Raises `Refused` for a folder that is not ours or is staged otherwise, `Damaged` for one that was left unfinished,
    `Unreadable` for a directory of the source, `NoSpace`, `Unwritable`, and what encryption raises but for files that
    cannot be read, which the report names. After any of these the folder is to be rolled back.
    """
    place = Folder(folder)
    start = _started(place, terms, anew=anew)
    base = start.afresh or before is None or b"" in hints.whole or start.recipients != terms.fingerprints
    with ExitStack() as open_:
        new = open_.enter_context(SnapshotTree(after))
        old = None if before is None or start.afresh else open_.enter_context(SnapshotTree(before))
        head = _head(label, new, base=base)
        open_.enter_context(_unfinished(place))
        view = open_.enter_context(_view(place, terms.names))
        store = Store(place, new, view, open_.enter_context(logged(place, start.number, terms, head)))
        for tasks in _phases(place, start, store, old, hints, base=base):
            for outcome in outcomes(Orders(terms.recipients, durable=False), tasks):
                store.took(outcome)
                told(store.tally.advance())
    return store.tally.report(start.number, hints.count, base=base)


@dataclass(frozen=True)
class _Start:
    """Where it begins: the new segment's number, what was left unread, to whom was encrypted. `afresh`: at nothing.

    `astray`: of what the diff may say nothing.
    """

    number: int = 1
    unread: frozenset[int] = frozenset()
    astray: frozenset[int] = frozenset()
    recipients: tuple[str, ...] = ()

    @property
    def afresh(self) -> bool:
        return self.number == 1


def _started(place: Folder, terms: Terms, *, anew: bool) -> _Start:
    staged = stands(place.path)
    if staged is None or anew:
        if staged is not None:
            emptied(place)
        begun(place, terms)
        return _Start()
    _check(place, staged, terms)
    if not staged.unread and not staged.astray:
        return _Start(staged.number + 1, recipients=staged.recipients)
    sealed = read_seals(place.seals(staged.number))
    return _Start(staged.number + 1, sealed.unread, sealed.astray, staged.recipients)


def _check(place: Folder, staged: Staged, terms: Terms) -> None:
    for what, is_, wanted in (
        ("names are", staged.names, terms.names),
        ("files are encrypted in", staged.format, terms.recipients.format),
    ):
        if is_ != wanted:
            raise Refused(
                f"In {shown(str(place.path))} {what} {is_.name.lower()}, and {wanted.name.lower()} is asked for.",
                hint="Everything has to be encrypted again for that.",
            )


def _head(label: Label, new: SnapshotTree, *, base: bool) -> Head:
    return Head(label.dataset, label.snapshot, label.guid, label.created, _root(new).inode, base)


@contextmanager
def _unfinished(place: Folder) -> Iterator[None]:
    """While the folder is neither the one snapshot nor the other, it says so; what fails leaves it saying so."""
    try:
        place.unfinished.mkdir(mode=0o700)
        yield
        place.unfinished.rmdir()
    except OSError as error:
        raise unwritable(shown(str(place.unfinished)), error) from error


@contextmanager
def _view(place: Folder, names: NameMode) -> Iterator[View | NoView]:
    if names is NameMode.ENCRYPTED:
        yield NoView()
        return
    with View(place.files, place.unfinished) as view:
        yield view


def _phases(
    place: Folder, start: _Start, store: Store, old: SnapshotTree | None, hints: Hints, *, base: bool
) -> Iterator[Iterator[Task]]:
    """What there is to do, one after the other: the next begins when all that the last asked for is encrypted."""
    if old is not None:
        names = compared(old, store.source, hints)
        yield Following(old, store.source, store, base=base).tasks(names, hints, start.astray)
    else:
        for inode in start.astray:
            store.log.astray(inode)
    if base:
        walk = Base(place, store.source, store, None if start.afresh else start.unread)
        yield walk.tasks()
        walk.remove_others()
    elif start.unread:
        yield _retried(store, start.unread)


def _retried(store: Store, unread: frozenset[int]) -> Iterator[Task]:
    """What could not be read the last time, wherever it stands now, unless that was tried already."""
    tried = set(store.unreadable)
    for path, child in itertools.chain([Name(b"", _root(store.source))], walked(store.source)):
        node = store.source.node(path) if child.inode in unread else None
        if node is None:
            continue
        if child.inode not in tried:
            store.describe(path)
        is_missing = child.kind is FileKind.FILE and store.changed(child.inode) != node.changed
        if is_missing and child.inode not in tried:
            yield store.task(path, node, all_names=True)
        elif child.kind is FileKind.FILE:
            store.show(path, child.inode)
        tried.add(child.inode)


def _root(tree: SnapshotTree) -> Child:
    node = tree.node(b"")
    assert node is not None, "it was opened"  # noqa: S101
    return node.child
