"""Fetches staged files from a copy in the cloud pool: first the manifest, then the objects that are wanted, in batches.

What comes is ciphertext, as it stands there. It lies in a folder of ours no longer than until it was decrypted, so that
restoring everything needs no room for all of it twice.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ec2zfs.errors import CommandFailed, HostError, HostKeyChanged, HostKeyUnknown, NoSpace
from ec2zfs.execute.carrier import Carriage, Carrier
from ec2zfs.execute.crew import Crew
from ec2zfs.execute.progress import Progress
from ec2zfs.hosts.halting import pause
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
    pause: Callable[[float], None] = pause

    def fetch_manifest(self) -> None:
        """Bring what says which files there are."""
        with self.carrier.ready(self.host, [0]) as carriage, self.progress.bar("fetch", None, "B") as bar:
            fetching = _Fetching(self, carriage, bar.advance, self.progress.say)
            fetching.archive(0, pack(self.place, "staging.json", "manifest"))

    def brought(self, wanted: Mapping[int, int]) -> Iterator[int]:
        """See `Objects.brought`; while one batch is read, the next is on its way.

        Raises `HostError` when the receiver cannot be reached for a minute, and `NoSpace`.
        """
        batches = list(_batches(wanted))
        if not batches:
            return
        sizes = [sum(batch.values()) for batch in batches]
        with (
            self.carrier.ready(self.host, sizes) as carriage,
            self.progress.bar("fetch", sum(sizes), "B") as bar,
            Crew(1) as crew,
        ):
            if carriage.words:
                self.progress.say(carriage.words)
            ended: list[BaseException | None] = []
            fetching = _Fetching(self, carriage, crew.handing_over(bar.advance), crew.handing_over(self.progress.say))
            crew.work(partial(fetching.objects, batches[0]), ended.append)
            for batch, following in zip(batches, [*batches[1:], None], strict=True):
                while not ended:
                    crew.listen()
                if error := ended.pop():
                    raise error
                if following:
                    crew.work(partial(fetching.objects, following), ended.append)
                yield from batch

    def used(self, inode: int) -> None:
        """See `Objects.used`: what was fetched goes."""
        Path(Folder(self.folder).object(inode)).unlink(missing_ok=True)


@dataclass(frozen=True)
class _Fetching:
    """Has tar pack on the receiver and unpack here; `meter` hears of bytes, `say` of what is tried again."""

    copy: StagedCopy
    carriage: Carriage
    meter: Callable[[int], None]
    say: Callable[[str], None]

    def objects(self, batch: Mapping[int, int]) -> None:
        place = Folder(Path())
        self._again(partial(want, self.copy.host, self.copy.place, [place.object(inode) for inode in batch]))
        self.archive(sum(batch.values()), pack_wanted(self.copy.place))

    def archive(self, size: int, packed: Command) -> None:
        sender, receiver = Stage(self.copy.host, packed), Stage(LocalHost(), unpack(self.copy.folder))
        try:
            self._again(partial(self.carriage.of(size).carry, sender, receiver, self.meter))
        except CommandFailed as failure:
            if receiver.host.name == failure.host and os.strerror(errno.ENOSPC) in failure.stderr:
                raise NoSpace(f"There is no room left for what is fetched into {self.copy.folder}.") from failure
            raise

    def _again(self, attempt: Callable[[], None]) -> None:
        """Try it, and again when the connection is lost: a batch that is begun anew overwrites itself."""
        for number in range(1, TRIES):
            try:
                return attempt()
            except (HostKeyChanged, HostKeyUnknown):
                raise
            except HostError as lost:
                self.say(f"{lost} Trying again.")
                self.copy.pause(2.0**number)
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
