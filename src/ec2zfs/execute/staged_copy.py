"""Fetches staged files from a copy in the cloud pool: first the manifest, then the objects that are wanted, in batches.

What comes is ciphertext, as it stands there. It lies in a folder of ours no longer than until it was decrypted, so that
restoring everything needs no room for all of it twice.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ec2zfs.errors import CommandFailed, HostError, HostKeyChanged, HostKeyUnknown, NoSpace
from ec2zfs.execute.carrier import Carriage, Carrier
from ec2zfs.execute.progress import Progress
from ec2zfs.hosts.host import Command, Host, Stage
from ec2zfs.hosts.local import LocalHost
from ec2zfs.staging.folder import Folder
from ec2zfs.tools.zfs_copies import pack, pack_wanted, unpack, want

BATCH_BYTES = 256 << 20
BATCH_OBJECTS = 20_000
TRIES = 6
"""How often a batch is tried when the connection to the receiver is lost; the pauses between add up to a minute."""


@dataclass(frozen=True)
class StagedCopy:
    """A copy's snapshot, shown in `place` on its host (see `shown_snapshot`), and the folder here into which it is
    fetched, which exists. Is an `Objects` of that folder.
    """

    host: Host
    place: str
    folder: Path
    carrier: Carrier
    progress: Progress
    pause: Callable[[float], None] = time.sleep

    def fetch_manifest(self) -> None:
        """Bring what says which files there are."""
        with self.carrier.ready(self.host, [0]) as carriage:
            self._carry(carriage, 0, pack(self.place, "staging.json", "manifest"))

    def brought(self, wanted: Mapping[int, int]) -> Iterator[int]:
        """See `Objects.brought`. Raises `HostError` when the receiver cannot be reached for a minute, and `NoSpace`."""
        batches = list(_batches(wanted))
        if not batches:
            return
        place = Folder(Path())
        with self.carrier.ready(self.host, [sum(batch.values()) for batch in batches]) as carriage:
            if carriage.words:
                self.progress.say(carriage.words)
            for batch in batches:
                self._again(partial(want, self.host, self.place, [place.object(inode) for inode in batch]))
                self._carry(carriage, sum(batch.values()), pack_wanted(self.place))
                yield from batch

    def used(self, inode: int) -> None:
        """See `Objects.used`: what was fetched goes."""
        Path(Folder(self.folder).object(inode)).unlink(missing_ok=True)

    def _carry(self, carriage: Carriage, size: int, packed: Command) -> None:
        sender, receiver = Stage(self.host, packed), Stage(LocalHost(), unpack(self.folder))
        with self.progress.bar("fetch", size or None, "B") as bar:
            try:
                self._again(lambda: carriage.of(size).carry(sender, receiver, bar.advance, bar.measure))
            except CommandFailed as failure:
                if receiver.host.name == failure.host and os.strerror(errno.ENOSPC) in failure.stderr:
                    raise NoSpace(f"There is no room left for what is fetched into {self.folder}.") from failure
                raise

    def _again(self, attempt: Callable[[], None]) -> None:
        """Try it, and again when the connection is lost: a batch that is begun anew overwrites itself."""
        for number in range(1, TRIES):
            try:
                return attempt()
            except (HostKeyChanged, HostKeyUnknown):
                raise
            except HostError as lost:
                self.progress.say(f"{lost} Trying again.")
                self.pause(2.0**number)
        return attempt()


def _batches(wanted: Mapping[int, int]) -> Iterator[dict[int, int]]:
    """Objects that are fetched together; a large one ends its batch."""
    batch: dict[int, int] = {}
    size = 0
    for inode, each in wanted.items():
        batch[inode] = each
        size += each
        if size >= BATCH_BYTES or len(batch) >= BATCH_OBJECTS:
            yield batch
            batch, size = {}, 0
    if batch:
        yield batch
