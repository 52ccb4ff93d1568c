"""The segment and the seals of the snapshot that a folder is brought to, written side by side."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ec2zfs.encryption.interface import Done
from ec2zfs.staging.folder import Folder
from ec2zfs.staging.records import Head, Record, Stored, Unread
from ec2zfs.staging.seals import SealsWriter
from ec2zfs.staging.segments import SegmentWriter
from ec2zfs.staging.terms import Terms


class Log:
    """What was done, as it is done."""

    def __init__(self, segment: SegmentWriter, seals: SealsWriter) -> None:
        self._segment = segment
        self._seals = seals

    def write(self, record: Record) -> None:
        """Tell of the tree."""
        self._segment.write(record)

    def stored(self, inode: int, done: Done) -> None:
        """A file's content has become an object."""
        read, written = done.read, done.written
        self._segment.write(Stored(inode, *read, *written))
        self._seals.written(inode, written)

    def removed(self, inode: int) -> None:
        """An object was removed from the folder."""
        self._seals.removed(inode)

    def unread(self, inode: int, why: str) -> None:
        """Something of the source could not be read."""
        self._segment.write(Unread(inode, why))
        self._seals.unread(inode)

    def astray(self, inode: int) -> None:
        """The next diffs may say nothing of an object."""
        self._seals.astray(inode)


@contextmanager
def logged(place: Folder, number: int, terms: Terms, head: Head) -> Iterator[Log]:
    """The log of a new segment. When the `with` statement has ended well, both files are whole."""
    with SealsWriter(place.seals(number), terms.fingerprints, base=head.base) as seals:
        with SegmentWriter(place.segment(number, terms.recipients.format), terms.recipients) as segment:
            segment.write(head)
            yield Log(segment, seals)
        seals.close_with(segment.content)
