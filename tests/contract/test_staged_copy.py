"""Files that are fetched from a copy before they are decrypted: real tar, through a pipeline of this machine."""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from tests.contract.encryption_keys import age_identity, age_recipient
from tests.contract.staged import Site, nobody, site
from tests.fakes.edits import Look, looks

from ec2zfs.encryption.identities import recognised
from ec2zfs.encryption.interface import Done, Failed, Task
from ec2zfs.encryption.orders import Orders
from ec2zfs.encryption.recipients import judged
from ec2zfs.errors import CommandFailed, HostError, HostKeyChanged, NoSpace
from ec2zfs.execute import staged_copy
from ec2zfs.execute.carrier import Carriage, Fixed
from ec2zfs.execute.progress import Silent
from ec2zfs.execute.staged_copy import TRIES, StagedCopy
from ec2zfs.hosts.host import Command, Stage
from ec2zfs.hosts.local import LocalHost
from ec2zfs.model.line import Line
from ec2zfs.staging import restoring
from ec2zfs.staging.restoring import Choice, Restored, restored
from ec2zfs.staging.snapshot_tree import SnapshotTree
from ec2zfs.transport.ssh import SshTransport
from ec2zfs.transport.transport import unwatched


@dataclass
class Wavering:
    """A transport that raises each of `errors` before it carries; `carried` counts the streams that it did carry."""

    errors: list[Exception] = field(default_factory=list)
    carried: int = 0

    def carry(
        self,
        sender: Stage,
        receiver: Stage,
        meter: Callable[[int], None],
        watch: Callable[[Line], None] = unwatched,
    ) -> None:
        if self.errors:
            raise self.errors.pop(0)
        SshTransport().carry(sender, receiver, meter, watch)
        self.carried += 1


class Fetching:
    """A staged source, a directory in which its folder is shown, and the one into which it is fetched."""

    def __init__(self, it: Site) -> None:
        self.it = it
        self.line = Wavering()
        self.pauses: list[float] = []
        (it.top / "place").mkdir()
        (it.top / "place/files").symlink_to(it.folder)
        (it.top / "fetched").mkdir()
        carrier = Fixed(Carriage(self.line))
        self.copy = StagedCopy(
            LocalHost("far"), str(it.top / "place"), it.top / "fetched", carrier, Silent(), self.pauses.append
        )

    def restored(self, *patterns: str) -> tuple[Restored, dict[bytes, Look]]:
        self.copy.fetch_manifest()
        target = self.it.top / "restored"
        said = restored(self.copy.folder, self.it.identity, Choice(patterns), target, nobody, self.copy)
        return said, looks(target, SnapshotTree(target))

    def left(self) -> list[Path]:
        return [each for each in (self.copy.folder / "objects").rglob("*") if each.is_file()]


@pytest.fixture
def fetching() -> Iterator[Fetching]:
    identity = age_identity()
    with site(judged([age_recipient(identity)]), recognised(identity)) as it:
        for name in ("one", "two", "three", "four", "empty"):
            (it.live / name).write_text(name * 1000 if name != "empty" else "")
        it.stage()
        yield Fetching(it)


@pytest.mark.parametrize(("size", "streams"), [(1, 6), (staged_copy.BATCH_BYTES, 2)])
def test_all_is_fetched_in_batches_and_nothing_is_left_of_it(
    fetching: Fetching, monkeypatch: pytest.MonkeyPatch, size: int, streams: int
) -> None:
    monkeypatch.setattr(staged_copy, "BATCH_BYTES", size)
    said, found = fetching.restored()
    assert (said.failed, said.incomplete) == ((), ())
    assert found == fetching.it.wanted()
    assert fetching.line.carried == streams, "of them one for the manifest"
    assert fetching.left() == []


def test_what_is_wanted_alone_is_fetched(fetching: Fetching, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StagedCopy, "used", lambda _copy, _inode: None)
    said, _ = fetching.restored("two")
    assert said.names == 1
    assert [int(each.name, 16) for each in fetching.left()] == [(fetching.it.live / "two").stat().st_ino]


def test_an_object_that_the_copy_has_not_is_named_and_the_others_come(fetching: Fetching) -> None:
    lost = (fetching.it.live / "two").stat().st_ino
    (found,) = fetching.it.folder.glob(f"objects/*/{lost:x}")
    found.unlink()
    said, looks_ = fetching.restored()
    assert [each.path for each in said.failed] == [b"two"]
    assert sorted(looks_) == [b"", b"empty", b"four", b"one", b"three"]


class Hostile:
    """A receiver that gives the archives it likes, one after the other, whatever it is asked for."""

    def __init__(self, *archives: bytes) -> None:
        self.archives = list(archives)

    def carry(
        self,
        sender: Stage,
        receiver: Stage,
        meter: Callable[[int], None],
        watch: Callable[[Line], None] = unwatched,
    ) -> None:
        given = Command.of("cat", stdin=self.archives.pop(0), timeout=None)
        SshTransport().carry(replace(sender, command=given), receiver, meter, watch)


def archive(*entries: tuple[str, bytes, str]) -> bytes:
    """A tar of names, types and what they lead to or hold."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as packed:
        for name, kind, content in entries:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = kind, 0o6777
            if kind == tarfile.REGTYPE:
                entry.size = len(content)
            else:
                entry.linkname = content
            packed.addfile(entry, io.BytesIO(content.encode()))
    return buffer.getvalue()


def test_a_receiver_that_packs_something_else_writes_nowhere(fetching: Fetching) -> None:
    aim, folder = fetching.it.top / "aim", fetching.copy.folder
    aim.mkdir()
    (aim / "ab").mkdir()
    (aim / "ab/12ab").write_text("of the file server's own")
    link, file, directory = tarfile.SYMTYPE, tarfile.REGTYPE, tarfile.DIRTYPE
    hostile = Hostile(
        archive((".", directory, ""), ("objects", link, str(aim)), ("manifest", link, str(aim))),
        archive(("objects/evil", file, "evil"), ("objects/34cd", file, "not where it belongs")),
        archive(("objects", link, str(aim))),
        archive(("objects/cd", directory, ""), ("objects/cd/34cd", tarfile.FIFOTYPE, "")),
        archive(("objects/cd/34cd", link, str(aim / "ab/12ab")), ("staging.json", link, "/dev/zero")),
        archive(("objects/cd/34cd", directory, "")),
    )
    copy = replace(fetching.copy, carrier=Fixed(Carriage(hostile)))
    folder.chmod(0o700)
    copy.fetch_manifest()
    for inode in (0x34CD, 0x12AB, 0x34CD, 0x34CD, 0x34CD):
        assert list(copy.brought({inode: 4})) == [inode]
        copy.used(inode)
    assert hostile.archives == []
    assert [each for each in folder.rglob("*") if not each.is_dir()] == []
    assert [path.name for path in aim.rglob("*")] == ["ab", "12ab"]
    assert folder.stat().st_mode & 0o7777 == 0o700


def test_a_fetch_that_is_under_way_ends_with_whatever_ends_the_restore(
    fetching: Fetching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staged_copy, "BATCH_BYTES", 1)
    monkeypatch.setattr(restoring, "outcomes", interrupted)
    with pytest.raises(KeyboardInterrupt) as raised:
        fetching.restored()
    assert raised.value.__traceback__, "which keeps alive whatever was not closed"
    assert [each.name for each in threading.enumerate() if each.name.startswith("ec2zfs-crew")] == []


def interrupted(_: Orders, tasks: Iterator[Task]) -> Iterator[Done | Failed]:
    """Takes one of several tasks, and then comes Ctrl-C."""
    next(tasks)
    yield from ()
    raise KeyboardInterrupt


def test_a_connection_that_is_lost_is_made_again(fetching: Fetching) -> None:
    fetching.line.errors = [HostError("far went silent.")] * (TRIES - 1)
    said, found = fetching.restored()
    assert said.failed == ()
    assert found == fetching.it.wanted()
    assert fetching.pauses == [2.0, 4.0, 8.0, 16.0, 32.0]


@pytest.mark.parametrize(
    ("errors", "raised", "words"),
    [
        ([HostError("far went silent.")] * TRIES, HostError, "went silent"),
        ([HostKeyChanged("far shows another key.")], HostKeyChanged, "another key"),
        ([CommandFailed("localhost", ("tar",), 2, "tar: x: No space left on device")], NoSpace, "no room for what"),
        ([CommandFailed("localhost", ("tar",), 2, "tar: x: Wrote only 1 of 2 bytes")], NoSpace, "no room for what"),
        ([CommandFailed("localhost", ("tar",), 2, "tar: x: Disk quota exceeded")], NoSpace, "no room for what"),
        ([CommandFailed("far", ("tar",), 2, "tar: x: No space left on device")], CommandFailed, "On far"),
    ],
)
def test_what_cannot_be_got_over_is_told(
    fetching: Fetching, errors: list[Exception], raised: type[Exception], words: str
) -> None:
    fetching.line.errors = errors
    with pytest.raises(raised, match=words):
        fetching.restored()
