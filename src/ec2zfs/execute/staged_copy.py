"""Fetches staged files from a copy in the cloud pool: first the manifest, then the objects that are wanted, in batches.

What comes is ciphertext, as it stands there. It lies in a folder of ours no longer than until it was decrypted, so that
restoring everything needs no room for all of it twice. The receiver is not believed: each archive is unpacked in an
empty directory, and only regular files that were asked for leave that.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ec2zfs.encryption.streams import shown, unwritable
from ec2zfs.errors import CommandFailed, HostError, HostKeyChanged, HostKeyUnknown, NoSpace
from ec2zfs.execute.carrier import Carriage, Carrier
from ec2zfs.execute.crew import Crew
from ec2zfs.execute.progress import Bar, Progress
from ec2zfs.hosts.halting import pause
from ec2zfs.hosts.host import Command, Host, Stage
from ec2zfs.hosts.local import LocalHost
from ec2zfs.staging.folder import Folder
from ec2zfs.tools.zfs_copies import pack, pack_wanted, unpack, want
from ec2zfs.transport.transport import Transport

_HEADER, _MANIFEST = "staging.json", "manifest"
_FULL = (*map(os.strerror, (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)), "Wrote only")
"""What tar says of a full disk; the last for one that was so in the middle of a block."""
BATCH_BYTES = 256 << 20
BATCH_OBJECTS = 20_000
TRIES = 6
"""How often a batch is tried when the connection to the receiver is lost; the pauses between add up to a minute."""


@dataclass(frozen=True)
class StagedCopy:
    """A copy's snapshot, shown in `place` on its host (see `show_snapshot`), and the folder here into which it is
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
            fetching = _Fetching(self, carriage, bar, self.progress.say)
            fetching.archive(0, pack(self.place, _HEADER, _MANIFEST), _of_manifest)

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
            fetching = _Fetching(self, carriage, bar, crew.handing_over(self.progress.say))
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
    """Has tar pack on the receiver and unpack here; `say` hears of what is tried again."""

    copy: StagedCopy
    carriage: Carriage
    bar: Bar
    say: Callable[[str], None]

    def objects(self, batch: Mapping[int, int]) -> None:
        """Bring a batch of objects."""
        names = [Folder(Path()).object(inode) for inode in batch]
        self._again(partial(want, self.copy.host, self.copy.place, names))
        self.archive(sum(batch.values()), pack_wanted(self.copy.place), lambda _: names)

    def archive(self, size: int, packed: Command, wanted: Callable[[Path], Iterable[str]]) -> None:
        """Bring what is packed; of that, what is wanted of the directory in which it was unpacked."""
        self._again(partial(self._unpacked, self.carriage.of(size), packed, wanted))

    def _unpacked(self, transport: Transport, packed: Command, wanted: Callable[[Path], Iterable[str]]) -> None:
        folder = self.copy.folder
        with _own(folder):
            incoming = tempfile.TemporaryDirectory(prefix=".incoming-", dir=folder)
        with incoming as name:
            sender, receiver = Stage(self.copy.host, packed), Stage(LocalHost(), unpack(Path(name)))
            try:
                transport.carry(sender, receiver, self.bar.advance)
            except CommandFailed as failure:
                if failure.host == receiver.host.name and any(words in failure.stderr for words in _FULL):
                    raise NoSpace(
                        f"There is no room for what is fetched into {shown(str(folder))}: {failure.stderr.strip()}",
                        hint="Make room there, or restore to where there is more; two batches lie there at a time.",
                    ) from failure
                raise
            with _own(folder):
                for each in wanted(Path(name)):
                    _accept(Path(name), folder, each)

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


@contextmanager
def _own(folder: Path) -> Iterator[None]:
    """A block that writes into a folder of ours."""
    try:
        yield
    except OSError as error:
        raise unwritable(shown(str(folder)), error) from error


def _of_manifest(unpacked: Path) -> Iterator[str]:
    yield _HEADER
    if stat.S_ISDIR(_mode(unpacked / _MANIFEST)):
        yield from (f"{_MANIFEST}/{each.name}" for each in (unpacked / _MANIFEST).iterdir())


def _accept(unpacked: Path, folder: Path, name: str) -> None:
    """Take a file over if it is one, and all above it are directories; else it is as if it were not there."""
    above = [unpacked / each for each in list(Path(name).parents)[:-1]]
    if all(stat.S_ISDIR(_mode(each)) for each in above) and stat.S_ISREG(_mode(unpacked / name)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (unpacked / name).replace(folder / name)


def _mode(path: Path) -> int:
    """What stands there, never through a link; 0 for nothing."""
    try:
        return path.lstat().st_mode
    except FileNotFoundError:
        return 0


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
