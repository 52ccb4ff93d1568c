"""Files that are fetched from a copy before they are decrypted: real tar, through a pipeline of this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.contract.encryption_keys import age_identity, age_recipient
from tests.contract.staged import Site, nobody, site
from tests.fakes.edits import Look, looks

from ec2zfs.encryption.identities import recognised
from ec2zfs.encryption.recipients import judged
from ec2zfs.errors import CommandFailed, HostError, HostKeyChanged, NoSpace
from ec2zfs.execute import staged_copy
from ec2zfs.execute.carrier import Carriage, Fixed
from ec2zfs.execute.progress import Silent
from ec2zfs.execute.staged_copy import TRIES, StagedCopy
from ec2zfs.hosts.host import Stage
from ec2zfs.hosts.local import LocalHost
from ec2zfs.model.line import Line
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
        ([CommandFailed("localhost", ("tar",), 2, "tar: x: No space left on device")], NoSpace, "no room left"),
        ([CommandFailed("far", ("tar",), 2, "tar: x: No space left on device")], CommandFailed, "On far"),
    ],
)
def test_what_cannot_be_got_over_is_told(
    fetching: Fetching, errors: list[Exception], raised: type[Exception], words: str
) -> None:
    fetching.line.errors = errors
    with pytest.raises(raised, match=words):
        fetching.restored()
