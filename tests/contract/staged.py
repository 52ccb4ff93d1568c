"""A source that is photographed and staged, for the tests of the staged folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.fakes.edits import Directory, Look, looks
from tests.fakes.photographs import Album

from ec2zfs.encryption.identities import Identity
from ec2zfs.encryption.interface import Recipients
from ec2zfs.plan.tree_hints import Hints
from ec2zfs.staging import bringing
from ec2zfs.staging.bringing import bring
from ec2zfs.staging.report import Advance, Report
from ec2zfs.staging.restoring import Choice, Restored, restored
from ec2zfs.staging.snapshot_tree import SnapshotTree
from ec2zfs.staging.terms import Label, NameMode, Terms
from ec2zfs.staging.verification import Finding, verified


def nobody(_: Advance) -> None:
    """Whom nothing needs to be told."""


@dataclass
class Site:
    """A source directory, its photographs, and the folder in which it is staged."""

    top: Path
    terms: Terms
    identity: Identity
    shots: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        for each in ("live", "copies"):
            (self.top / each).mkdir()
        self.album = Album(self.live, self.top / "copies")
        self.source = Directory(os.fsencode(self.live))

    @property
    def live(self) -> Path:
        return self.top / "live"

    @property
    def folder(self) -> Path:
        return self.top / "folder"

    def take(self) -> None:
        """Take a snapshot of the source."""
        self.shots.append(self.album.take())

    def hints(self) -> Hints:
        """The whole diff of the last two snapshots."""
        return Hints.of(self.album.diff(self.shots[-2], self.shots[-1]))

    def bring(self, hints: Hints | None = None, *, anew: bool = False, lost: bool = False) -> Report:
        """Bring the folder to the last snapshot, by the whole diff unless hints are given. `lost`: that before is."""
        before = self.shots[-2] if len(self.shots) > 1 and not lost else None
        if hints is None:
            hints = Hints() if before is None else self.hints()
        label = Label("tank/home", f"s{len(self.shots)}", len(self.shots), 1000 * len(self.shots))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bringing, "SnapshotTree", self.album.tree)
            return bring(self.folder, self.terms, before, self.shots[-1], hints, label, nobody, anew=anew)

    def stage(self) -> Report:
        """Take a snapshot and bring the folder to it."""
        self.take()
        return self.bring()

    def wanted(self) -> dict[bytes, Look]:
        """What the last snapshot looks like."""
        return looks(self.shots[-1], SnapshotTree(self.shots[-1]))

    def restored(self, choice: Choice | None = None, folder: Path | None = None) -> tuple[Restored, dict[bytes, Look]]:
        """Restore it; what was said, and what that looks like."""
        target = self.top / "restored"
        shutil.rmtree(target, ignore_errors=True)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "fsync", lambda _: None)  # the disk is not what is tried here, and busy
            said = restored(folder or self.folder, self.identity, choice or Choice(), target, nobody)
        return said, looks(target, SnapshotTree(target))

    def findings(self, identity: Identity | None = None) -> tuple[Finding, ...]:
        return verified(self.folder, identity, nobody).findings

    def assert_same(self) -> None:
        """The folder is whole, and restored with an identity it is the last snapshot."""
        said, found = self.restored()
        assert (said.failed, said.incomplete, said.unmatched) == ((), (), ())
        assert found == self.wanted()
        assert not self.findings()
        assert not self.findings(self.identity)


@contextmanager
def site(recipients: Recipients, identity: Identity, names: NameMode = NameMode.PLAIN) -> Iterator[Site]:
    """A site in a directory that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="ec2zfs-site-") as top:
        yield Site(Path(top), Terms(recipients, names), identity)


def copied(folder: Path, copy: Path, *words: str) -> None:
    """Copy a folder as it is, or otherwise."""
    subprocess.run(["cp", *(words or ("-a",)), str(folder), str(copy)], check=True)
