"""Which snapshots of many datasets go, and which are spared once ZFS was asked about them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ec2zfs.model.policy import Keep
from ec2zfs.model.snapshot import Dataset, Snapshot
from ec2zfs.model.snapshot_name import snapshot_name
from ec2zfs.plan.pruning import BATCH, Particulars, TierRules, candidates, destructions, spared
from ec2zfs.plan.retention import Verdict

NOW = datetime(2026, 11, 25, 2, 17, tzinfo=UTC)
TWO = TierRules(lambda name: None if name == "tank/scratch" else {"daily": Keep(2)}, "ec2zfs:period")


def dataset(name: str, days: int) -> Dataset:
    names = [snapshot_name(NOW - timedelta(days=days - 1 - day), "daily") for day in range(days)]
    snapshots = tuple(Snapshot(name, short, 100 + txg, txg) for txg, short in enumerate(names))
    return Dataset(name, 1, encrypted=False, snapshots=snapshots)


def test_each_dataset_is_judged_by_its_own_rules() -> None:
    found = candidates([dataset("tank", 4), dataset("tank/scratch", 9), dataset("tank/new", 1)], TWO, NOW)
    assert [str(verdict) for verdict in found] == [
        "destroy tank@ec2zfs_2026-11-22T02:17:00Z_daily: daily 4 of 2",
        "destroy tank@ec2zfs_2026-11-23T02:17:00Z_daily: daily 3 of 2",
    ]


def test_what_is_shielded_stays() -> None:
    rules = replace(TWO, shields=lambda _dataset: {101: "the base of the next increment"})
    assert [verdict.snapshot.guid for verdict in candidates([dataset("tank", 4)], rules, NOW)] == [100]


VICTIM = Verdict(Snapshot("tank", "ec2zfs_2026-11-22T02:17:00Z_daily", 100, 1), kept=False, reason="daily 4 of 2")
SEEN = Particulars(100, 0, "", 4096, "daily")

# what ZFS says, and what becomes of the verdict
ASKED: dict[str, tuple[Particulars | None, str]] = {
    "as it was": (SEEN, "daily 4 of 2"),
    "without our property": (replace(SEEN, mark=""), "ec2zfs did not make it"),
    "held": (replace(SEEN, holds=2), "it is held (`ec2zfs holds`)"),
    "with a clone": (replace(SEEN, clones="tank/try"), "it has the clone tank/try"),
    "another of that name": (replace(SEEN, guid=7), ""),
    "gone": (None, ""),
}


@pytest.mark.parametrize("case", ASKED)
def test_zfs_is_asked_about_each_victim(case: str) -> None:
    seen, reason = ASKED[case]
    verdict = spared(VICTIM, {} if seen is None else {str(VICTIM.snapshot): seen})
    assert (verdict.reason if verdict else "") == reason
    assert verdict is None or verdict.kept == (case != "as it was")


def test_a_dataset_goes_by_batches() -> None:
    doomed = candidates([dataset("tank", BATCH + 5), dataset("tank/b", 3)], TWO, NOW)
    found = {str(each.snapshot): Particulars(each.snapshot.guid, 0, "", 1, "daily") for each in doomed}
    actions = list(destructions(doomed, found, "ec2zfs:period"))
    assert [(action.dataset, len(action.verdicts)) for action in actions] == [
        ("tank", BATCH),
        ("tank", 3),
        ("tank/b", 1),
    ]
    assert str(actions[2]) == "destroy 1 snapshots of tank/b"
