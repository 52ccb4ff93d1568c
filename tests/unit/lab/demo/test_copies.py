"""Which snapshots the demonstration compares, and how both sides are asked for what is in them."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from ec2zfs.lab.demo.copies import contents, snapshots_to_compare
from ec2zfs.lab.demo.machines import Machines
from ec2zfs.lab.demo.operator import DemonstrationFailed
from ec2zfs.lab.description import LabDescription

SOURCES = ("tank/home", "tank/projects")
BY_HAND = ("tank/home@monday", "tank/home/ada@monday")
DATASETS = ["tank/home", "tank/home/ada", "tank/projects"]
RUNS = [
    f"{dataset}@ec2zfs_{day}_daily" for dataset in DATASETS for day in ("2026-03-01T01:00:00Z", "2026-03-02T01:00:00Z")
]
ALL = [*DATASETS, *BY_HAND, *RUNS]


def test_every_snapshot_that_stands_is_compared() -> None:
    more = "tank/projects@by-somebody-else"
    assert snapshots_to_compare([*ALL, more], BY_HAND, SOURCES) == [*BY_HAND, *RUNS, more]


@pytest.mark.parametrize("lost", [*RUNS, *BY_HAND])
def test_one_snapshot_of_one_dataset_is_missing(lost: str) -> None:
    with pytest.raises(DemonstrationFailed, match=lost):
        snapshots_to_compare([name for name in ALL if name != lost], BY_HAND, SOURCES)


@pytest.mark.parametrize(
    "listed",
    [
        [],
        DATASETS,
        [name for name in ALL if "03-02" not in name],
        [*ALL, "tank/home@ec2zfs_2026-03-03T01:00:00Z_daily"],
        [name for name in ALL if not name.startswith("tank/projects")],
    ],
    ids=["nothing", "no snapshots", "one day", "three days", "a source is missing"],
)
def test_not_two_days_of_all_sources(listed: list[str]) -> None:
    with pytest.raises(DemonstrationFailed, match="Two days"):
        snapshots_to_compare(listed, BY_HAND, SOURCES)


class FakeMachines(Machines):
    """Remembers what it is told to run, and knows of each directory only its name."""

    told: ClassVar[list[tuple[str, ...]]] = []

    def run(self, machine: str, *words: str, program: str = "") -> str:
        self.told.append((machine, *words))
        return "".join(f"{number} {word}\n" for number, word in enumerate(words[2:])) if program else ""


def test_both_sides_are_asked_once_for_all_snapshots(tmp_path: Path) -> None:
    lab = LabDescription(str(tmp_path), 1, "", "", "", "", "", "", 22, "", None)
    machines = FakeMachines(lab)
    here, there = contents(machines, "i-0abc", "cloud", ["tank/home@monday", "tank/home/ada@monday"])
    assert here == ["0 /tank/home/.zfs/snapshot/monday", "1 /tank/home/ada/.zfs/snapshot/monday"]
    assert there == ["0 /run/copies/0", "1 /run/copies/1"]
    mounted, unmounted = machines.told[0], machines.told[-1]
    assert mounted[-2:] == ("cloud/tank/home@monday", "cloud/tank/home/ada@monday")
    assert unmounted == ("i-0abc", "sh", "-c", "umount /run/copies/*")
    assert len(machines.told) == 4
