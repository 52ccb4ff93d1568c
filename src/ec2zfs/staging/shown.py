"""The names that a folder shows, and which object each of them shows: also in a copy in which links were lost."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ec2zfs.encryption.files import opened
from ec2zfs.encryption.interface import Content
from ec2zfs.encryption.streams import Source
from ec2zfs.errors import Unreadable
from ec2zfs.model.tree import FileKind
from ec2zfs.plan.tree_changes import walked
from ec2zfs.staging.folder import Folder
from ec2zfs.staging.snapshot_tree import SnapshotTree

DIRECTORY = -1
"""In the place of an object's number, for a directory."""


def shown_objects(
    place: Folder, objects: Iterable[int], sealed: Mapping[int, Content]
) -> Iterator[tuple[bytes, int | None]]:
    """Each path below `files/`, and the number of the object that it shows; None if it shows none of these.

    A link is known by its file, a copy by its digest.
    """
    by_file = {os.lstat(place.object(each)).st_ino: each for each in objects}
    by_digest = {content: inode for inode, content in sealed.items()}
    with SnapshotTree(place.files) as tree:
        for path, child in walked(tree):
            if child.kind is FileKind.DIRECTORY:
                yield path, DIRECTORY
            elif child.kind is not FileKind.FILE:
                yield path, None
            elif child.inode in by_file:
                yield path, by_file[child.inode]
            else:
                content = _digest_in(tree, path)
                yield path, None if content is None else by_digest.get(content)


def digest(path: Path) -> Content:
    """Size and digest of a file. Raises `Unreadable`."""
    with opened(str(path)) as descriptor:
        source = Source(descriptor, str(path))
        for _ in source.pieces():
            pass
        return source.content()


def _digest_in(tree: SnapshotTree, path: bytes) -> Content | None:
    try:
        return digest(Path(tree.place(path)))
    except Unreadable:
        return None
