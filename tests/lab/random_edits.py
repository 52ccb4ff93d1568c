"""Random edits of real ZFS datasets, snapshot after snapshot, each staged and restored again; runs on the lab's site.

`python -m tests.lab.random_edits CONFIGURATION DATASET DATASETS SNAPSHOTS SEED`: below DATASET, which the configuration
stages, so many are made and edited. Each staged snapshot has to be what the source's is, exactly. Prints as JSON how
much was compared, what `zfs diff` told and missed, and what is not the same.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.fakes.edits import KINDS, Directory, looks

from ec2zfs.cli.output import Words
from ec2zfs.cli.session import Session
from ec2zfs.config import load
from ec2zfs.encryption.identities import Identity, recognised
from ec2zfs.execute.progress import Silent
from ec2zfs.hosts.secret import Secret
from ec2zfs.runs.staging import Staging
from ec2zfs.staging.report import Advance, Report
from ec2zfs.staging.restoring import Choice, restored
from ec2zfs.staging.snapshot_tree import SnapshotTree
from ec2zfs.staging.verification import verified

MOST_EDITS = 12


def nobody(_: Advance) -> None:
    """Whom nothing needs to be told."""


@dataclass
class Story:
    """Datasets that are edited, and how that went."""

    staging: Staging
    identity: Identity
    names: list[str]
    chance: random.Random

    def snapshot(self, number: int) -> Iterator[tuple[str, Report]]:
        """Edit all, take a snapshot and stage it; what was done of each."""
        for name in self.names:
            edits = [
                (self.chance.randrange(KINDS), self.chance.randrange(60), self.chance.randrange(60))
                for _ in range(self.chance.randint(1, MOST_EDITS))
            ]
            Directory(os.fsencode(f"/mnt/{name}")).edit(edits)
        parent = self.names[0].rpartition("/")[0]
        zfs("snapshot", "-r", f"{parent}@s{number}")
        report = self.staging.stage(datetime.now(UTC))
        report.raise_for_errors()
        for each in report.snapshots:
            source = each.snapshot.partition("@")[0]
            if source != parent:
                yield source, each.brought

    def wrong(self, source: str, number: int, *, last: bool) -> list[str]:
        """What is not the same in a staged snapshot, by paths."""
        target = Path("/mnt/rsite/restored")
        files = self.staging.files(source, f"s{number}")
        said = restored(files.folder, self.identity, Choice(), target, nobody)
        there = looks(target, SnapshotTree(target))
        shutil.rmtree(target)
        shot = Path("/mnt", source, ".zfs/snapshot", f"s{number}")
        here = looks(shot, SnapshotTree(shot))
        found = [str(each) for each in (*said.failed, *said.incomplete)]
        found += [repr(path) for path in sorted(here.keys() | there.keys()) if here.get(path) != there.get(path)]
        if last:
            found += [str(each) for each in verified(files.folder, self.identity, nobody).findings]
        return [f"{source}@s{number}: {each}" for each in found]


def zfs(*words: str) -> None:
    subprocess.run(["zfs", *words], check=True)


def main(configuration: str, dataset: str, datasets: int, snapshots: int, seed: int) -> None:
    """Tell the story."""
    exported = ["gpg", "--batch", "--pinentry-mode", "loopback", "--passphrase", "", "--armor", "--export-secret-keys"]
    key = Secret(subprocess.run(exported, check=True, capture_output=True).stdout)
    names = [f"{dataset}/{number}" for number in range(datasets)]
    for name in names:
        zfs("create", "-o", "xattr=sa", name)
    told = dict.fromkeys(("compared", "entries", "missed", "encrypted", "moved", "removed"), 0)
    wrong: list[str] = []
    with ExitStack() as connections:
        session = Session(load(Path(configuration)), Words(Silent()), connections)
        assert session.staging
        story = Story(session.staging, recognised(key), names, random.Random(seed))
        for number in range(snapshots):
            for source, report in story.snapshot(number):
                wrong += story.wrong(source, number, last=number == snapshots - 1)
                told["compared"] += 1
                for what in ("encrypted", "moved", "removed"):
                    told[what] += getattr(report, what)
                if not report.base:
                    told["entries"] += report.entries
                    told["missed"] += report.missed
    print(json.dumps({**told, "wrong": wrong}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6]))
