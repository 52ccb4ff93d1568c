"""Random edits of real ZFS datasets, snapshot after snapshot, each staged and restored again; runs on the lab's site.

`python -m tests.lab.random_edits DATASET DATASETS SNAPSHOTS SEED`: below DATASET so many are made, edited and staged,
led by `zfs diff`. Each staged folder has to restore to what the source's snapshot is, exactly. `zfs diff` knows no path
of a file whose latest link, in another directory, was removed, and then tells of it by none of its names. Excused are
only those whose latest link came and went between two snapshots. The last snapshot is compared as a whole, and then no
exception counts. Prints as JSON how much was compared, what `zfs diff` told and missed, how often an object changed of
which it did not tell and which was found nevertheless, how often one is excused, and what is wrong.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pyrage
from tests.fakes.edits import KINDS, Directory, Look, looks

from ec2zfs.encryption.identities import recognised
from ec2zfs.encryption.recipients import judged
from ec2zfs.hosts.host import Command
from ec2zfs.hosts.lines import printed_lines
from ec2zfs.hosts.local import LocalHost
from ec2zfs.hosts.secret import Secret
from ec2zfs.plan.tree_changes import walked
from ec2zfs.plan.tree_hints import Hints
from ec2zfs.staging.bringing import bring
from ec2zfs.staging.folder import Folder
from ec2zfs.staging.report import Advance, Report
from ec2zfs.staging.restoring import Choice, restored
from ec2zfs.staging.seals import read_seals
from ec2zfs.staging.snapshot_tree import SnapshotTree
from ec2zfs.staging.terms import Label, NameMode, Terms
from ec2zfs.staging.verification import verified
from ec2zfs.tools.zfs_diff import diff_argv, differences

MOST_EDITS = 12
WORK = Path("/mnt/rsite/edits-work")
KEY = pyrage.x25519.Identity.generate()
IDENTITY = recognised(Secret(str(KEY).encode()))
RECIPIENTS = judged([str(KEY.to_public())])


def nobody(_: Advance) -> None:
    """Whom nothing needs to be told."""


@dataclass(frozen=True)
class Edited:
    """A dataset that is edited, and the folder in which it is staged.

    `found` are the objects that changed untold and were looked for, `untold` those that may be behind.
    """

    name: str
    folder: Path
    names: NameMode
    found: set[int] = field(default_factory=set)
    untold: set[int] = field(default_factory=set)

    def edit(self, chance: random.Random) -> None:
        Directory(os.fsencode(f"/mnt/{self.name}")).edit(
            [
                (chance.randrange(KINDS), chance.randrange(60), chance.randrange(60))
                for _ in range(chance.randint(1, MOST_EDITS))
            ]
        )

    def shot(self, number: int) -> Path:
        return Path("/mnt", self.name, ".zfs/snapshot", f"s{number}")

    def stage(self, number: int, *, full: bool) -> Report:
        """Bring the folder to a snapshot, from the one before."""
        before, hints = None, Hints.everywhere()
        if number:
            before = self.shot(number - 1)
            command = Command.of(*diff_argv(f"{self.name}@s{number - 1}", f"{self.name}@s{number}"), timeout=None)
            lines = [*differences(printed_lines(LocalHost(), command), os.fsencode(f"/mnt/{self.name}"))]
            self._find_untold(number, {path for each in lines for path in (each.old, each.new)})
            hints = Hints.of(lines)
        if full:
            hints.whole.add(b"")
            self.untold.clear()
        label = Label(self.name, f"s{number}", number + 1, number + 1)
        return bring(self.folder, Terms(RECIPIENTS, self.names), before, self.shot(number), hints, label, nobody)

    def _find_untold(self, number: int, told: set[bytes]) -> None:
        """Objects that changed, and none of their names in either snapshot was told."""
        old, new = (self._objects(each) for each in (number - 1, number))
        astray = read_seals(Folder(self.folder).seals(number)).astray
        self.found.clear()
        for inode in old.keys() & new.keys():
            (before, names), (after, left) = old[inode], new[inode]
            if before != after and not (names | left) & told:
                (self.found if inode in astray or left < names else self.untold).add(inode)

    def _objects(self, number: int) -> dict[int, tuple[int, set[bytes]]]:
        """When each object of a snapshot was changed last, and its names."""
        objects = dict[int, tuple[int, set[bytes]]]()
        with SnapshotTree(self.shot(number)) as tree:
            for path, child in walked(tree):
                node = tree.node(path)
                assert node
                objects.setdefault(child.inode, (node.changed, set()))[1].add(path)
        return objects

    def wrong(self, number: int) -> list[str]:
        """What is not the same in the folder, by paths."""
        target = WORK / "restored"
        said = restored(self.folder, IDENTITY, Choice(), target, nobody)
        there = looks(target, SnapshotTree(target))
        shutil.rmtree(target)
        here = looks(self.shot(number), SnapshotTree(self.shot(number)))
        with SnapshotTree(self.shot(number)) as tree:
            excused = {path for path, child in walked(tree) if child.inode in self.untold}
        found = [str(each) for each in (*said.failed, *said.incomplete)]
        found += [
            f"{path!r} is {shown(here.get(path))} there, and {shown(there.get(path))} restored"
            for path in sorted(here.keys() | there.keys())
            if here.get(path) != there.get(path) and path not in excused
        ]
        return [f"{self.name}@s{number}: {each}" for each in found]


def shown(look: Look | None) -> str:
    return "nothing" if look is None else f"{look.meta}, {sorted(look.names)}, {look.content[:40]!r}…"


def zfs(*words: str) -> None:
    subprocess.run(["zfs", *words], check=True)


def main(dataset: str, datasets: int, snapshots: int, seed: int) -> None:
    """Edit, stage and compare."""
    chance, modes = random.Random(seed), list(NameMode)
    zfs("create", "-o", "sync=disabled", "rsite/edits-work")  # the disk is not what is tried here
    edited = [Edited(f"{dataset}/{each}", WORK / str(each), modes[each % len(modes)]) for each in range(datasets)]
    for each in edited:
        zfs("create", "-o", "xattr=sa", each.name)
    told = dict.fromkeys(("compared", "found", "untold", "entries", "missed", "encrypted", "moved", "removed"), 0)
    wrong: list[str] = []
    for number in range(snapshots):
        for each in edited:
            each.edit(chance)
        zfs("snapshot", "-r", f"{dataset}@s{number}")
        for each in edited:
            report = each.stage(number, full=number == snapshots - 1)
            wrong += each.wrong(number)
            told["compared"] += 1
            told["found"] += len(each.found)
            told["untold"] += len(each.untold)
            for what in ("encrypted", "moved", "removed", *(() if report.base else ("entries", "missed"))):
                told[what] += getattr(report, what)
    for each in edited:
        wrong += [f"{each.name}: {finding}" for finding in verified(each.folder, IDENTITY, nobody).findings]
    print(json.dumps({**told, "wrong": wrong}))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]))
