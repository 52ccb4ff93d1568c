"""Which of a copy's snapshots files come from, each with its own manifest: the folders, tar and keys are real."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from tests.contract.encryption_keys import age_identity, age_recipient
from tests.contract.staged import Site, copied, nobody, site
from tests.fakes.edits import Look, looks

from ec2zfs.encryption.identities import recognised
from ec2zfs.encryption.recipients import judged
from ec2zfs.errors import CommandFailed, Refused
from ec2zfs.execute.carrier import Carriage, Fixed
from ec2zfs.execute.progress import Silent
from ec2zfs.hosts.host import Host
from ec2zfs.hosts.local import LocalHost
from ec2zfs.model.snapshot import Dataset, Snapshot
from ec2zfs.runs import cloud_files as runs
from ec2zfs.runs.cloud_files import CloudFilesParts, Wish, cloud_files
from ec2zfs.runs.stages import Journal
from ec2zfs.runs.upkeep import UpkeepParts
from ec2zfs.staging.restoring import Choice, restored
from ec2zfs.staging.snapshot_tree import SnapshotTree
from ec2zfs.transport.ssh import SshTransport

COPY = "cloud/vault/tank/home"


@dataclass
class Cloud:
    """A copy of a staged folder with its snapshots `s1`, `s2`, …, each a directory; `shown` are those now shown."""

    it: Site
    snapshots: list[Snapshot] = field(default_factory=list)
    shown: set[str] = field(default_factory=set)
    stuck: bool = False

    def take(self) -> None:
        """The staged folder as it is now is copied as a snapshot."""
        name = f"s{len(self.it.shots)}"
        copied(self.it.folder, self.it.top / name)
        self.snapshots.append(Snapshot(COPY, name, len(self.snapshots) + 1, len(self.snapshots) + 1))

    def dataset(self, name: str) -> Dataset | None:
        return Dataset(name, 1, encrypted=False, snapshots=tuple(self.snapshots)) if name == COPY else None

    def show(self, _: Host, snapshot: str) -> str:
        place = self.it.top / f"place-{len(list(self.it.top.glob('place-*')))}"
        place.mkdir()
        (place / "files").symlink_to(self.it.top / snapshot.partition("@")[2])
        self.shown.add(str(place))
        return str(place)

    def hide(self, _: Host, place: str) -> None:
        if self.stuck:
            raise CommandFailed("far", ("umount",), 32, "target is busy")
        self.shown.discard(place)

    def restored(self, at: datetime | str | None, source: str = "tank/home") -> dict[bytes, Look]:
        """Restore all; what that looks like."""
        room, target = self.it.top / "room", self.it.top / "restored"
        for each in (room, target):
            shutil.rmtree(each, ignore_errors=True)
        room.mkdir()
        upkeep = SimpleNamespace(design=SimpleNamespace(name="cloud"), progress=Silent())
        parts = CloudFilesParts(cast("UpkeepParts", upkeep), Fixed(Carriage(SshTransport())), "vault")
        with cloud_files(parts, None, self.it.identity, Wish(source, at), room, Journal(Silent())) as (files, objects):
            said = restored(files.folder, self.it.identity, Choice((), files.number), target, nobody, objects)
        assert (said.failed, said.incomplete) == ((), ())
        return looks(target, SnapshotTree(target))


@contextmanager
def opened(*_: object) -> Iterator[SimpleNamespace]:
    yield SimpleNamespace(host=LocalHost("far"))


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    identity = age_identity()
    with site(judged([age_recipient(identity)]), recognised(identity)) as it:
        cloud = Cloud(it)
        for name in ("changed", "gone", "kept"):
            (it.live / name).write_text(name)
        it.stage()
        cloud.take()
        (it.live / "gone").unlink()
        (it.live / "changed").write_text("otherwise")
        (it.live / "new").write_text("new")
        it.stage()
        cloud.take()
        monkeypatch.setattr(runs, "opened", opened)
        monkeypatch.setattr(runs, "Zfs", lambda _: cloud)
        monkeypatch.setattr(runs, "show_snapshot", cloud.show)
        monkeypatch.setattr(runs, "hide_snapshot", cloud.hide)
        yield cloud


@pytest.mark.parametrize(
    ("at", "number"),
    [
        (None, 2),
        ("s2", 2),
        ("s1", 1),
        (datetime.fromtimestamp(1999, UTC), 1),
        (datetime.fromtimestamp(2000, UTC), 2),
        (datetime(2026, 11, 27, tzinfo=UTC), 2),
    ],
)
def test_the_snapshot_that_is_wanted_is_restored(cloud: Cloud, at: datetime | str | None, number: int) -> None:
    shot = cloud.it.shots[number - 1]
    assert cloud.restored(at) == looks(shot, SnapshotTree(shot))
    assert cloud.shown == set()


def test_one_from_before_all_was_encrypted_again_is_had_by_its_name(cloud: Cloud) -> None:
    cloud.it.take()
    cloud.it.bring(anew=True)
    cloud.take()
    assert cloud.restored("s1") == looks(cloud.it.shots[0], SnapshotTree(cloud.it.shots[0]))
    with pytest.raises(Refused, match="no snapshot of 1970-01-01 00:16:40") as raised:
        cloud.restored(datetime.fromtimestamp(1000, UTC))
    assert "`--at` takes a name. The newest: @s1, @s2, @s3." in raised.value.hint
    assert cloud.shown == set()


def test_what_there_is_no_copy_of(cloud: Cloud) -> None:
    with pytest.raises(Refused, match="no copy of what is staged of tank/other: cloud/vault/tank/other"):
        cloud.restored(None, "tank/other")
    cloud.snapshots.clear()
    with pytest.raises(Refused, match="no copy of what is staged of tank/home"):
        cloud.restored(None)


def test_what_cannot_be_taken_out_of_sight_hides_no_first_failure(cloud: Cloud) -> None:
    cloud.stuck = True
    shutil.rmtree(Path(cloud.it.top / "s2/manifest"))
    with pytest.raises(CommandFailed, match="manifest: Cannot stat") as raised:
        cloud.restored(None)
    assert "target is busy" in raised.value.__notes__[0]
