"""What is staged next, from which base; what is rolled back; and what is refused, each in words of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ec2zfs.model.policy import Keep
from ec2zfs.model.snapshot import Dataset, DatasetKind, Snapshot
from ec2zfs.model.snapshot_name import snapshot_name
from ec2zfs.model.staging import Mount, StagedDataset, StagedSnapshot, StagingState
from ec2zfs.plan.staging import (
    CreateStaged,
    DatasetStaging,
    RollBackStaged,
    StageSnapshot,
    StagingRules,
    plan_staging,
)
from ec2zfs.plan.staging_conflicts import (
    ForeignDataset,
    ForeignSnapshots,
    NameTaken,
    NothingNewer,
    OtherSource,
    SourceRenamed,
    StagedModified,
    StagedNameTooLong,
    StagingConflict,
    Unreachable,
)

NOW = datetime(2026, 11, 25, 0, 0, tzinfo=UTC)
DAY = timedelta(days=1)
RULES = StagingRules(lambda name: None if name.endswith("scratch") else {"daily": Keep(9)}, 7 * DAY)
REACHED = Mount(mounted=True, canmount="on", keystatus="-", snapdir="hidden", mountpoint="/tank")
GUID = 7


def source(*names: str, name: str = "tank", guid: int = GUID) -> Dataset:
    """Snapshots whose GUIDs are 101, 102, …"""
    snapshots = tuple(Snapshot(name, each, 101 + place, place) for place, each in enumerate(names))
    return Dataset(name, guid, encrypted=False, snapshots=snapshots)


def staged(*snapshots: tuple[str, int], name: str = "vault/tank", walked: datetime = NOW - DAY) -> StagedDataset:
    """Staged snapshots, each with the GUID of the source's."""
    found = tuple(StagedSnapshot(each, guid, place, walked) for place, (each, guid) in enumerate(snapshots))
    return StagedDataset(name, GUID, found)


def state(ours: Dataset, *there: StagedDataset, mount: Mount = REACHED) -> StagingState:
    return StagingState("vault", (ours,), {each.name: each for each in there}, {ours.name: mount})


def planned(seen: StagingState, rules: StagingRules = RULES) -> DatasetStaging:
    (found,) = plan_staging(seen, rules, NOW).datasets
    return found


def steps(seen: StagingState, rules: StagingRules = RULES) -> list[str]:
    return [str(step) for step in planned(seen, rules).steps]


A, B, C = "one", "two", "three"
UNDER_WAY = replace(staged((A, 101)), under_way=102, written=4096)

LOST = ", the whole tree compared, since the snapshot that is staged is gone there"

STEPS: dict[str, tuple[StagingState, list[str]]] = {
    "a new one": (
        state(source(A, B)),
        ["create vault/tank", "stage tank@one from nothing", "stage tank@two from @one"],
    ),
    "without a snapshot nothing is made": (state(source()), []),
    "what is new": (state(source(A, B), staged((A, 101))), ["stage tank@two from @one"]),
    "nothing": (state(source(A, B), staged((A, 101), (B, 102))), []),
    "by GUID, not by name": (state(source(A, B), staged(("other", 101))), ["stage tank@two from @one"]),
    "interrupted": (state(source(A, B), UNDER_WAY), ["roll vault/tank back to @one", "stage tank@two from @one"]),
    "interrupted, and nothing new": (state(source(A), UNDER_WAY), ["roll vault/tank back to @one"]),
    "the base is gone": (state(source(A, B), staged((C, 99))), [f"stage tank@two{LOST}"]),
    "the base is gone, and interrupted": (
        state(source(A, B), replace(staged((C, 99)), under_way=102)),
        ["roll vault/tank back to @three", f"stage tank@two{LOST}"],
    ),
    "the source was rolled back to what is staged": (state(source(A), staged((A, 101), (B, 99))), []),
    "interrupted at first": (
        state(source(A), replace(staged(), under_way=0, written=4096)),
        ["roll vault/tank back to the empty folder", "stage tank@one from nothing"],
    ),
    "where a parent stood": (
        state(source(A), StagedDataset("vault/tank", parent=True, written=4096)),
        ["use vault/tank", "stage tank@one from nothing"],
    ),
}


@pytest.mark.parametrize("case", STEPS)
def test_steps(case: str) -> None:
    seen, expected = STEPS[case]
    assert steps(seen) == expected


def test_what_is_above_a_source_is_made_once() -> None:
    sources = (source(A, name="tank/a/x"), source(A, name="tank/a/y", guid=8), source(A, name="tank/b/scratch", guid=9))
    seen = StagingState("vault", sources, {}, {each.name: REACHED for each in sources})
    made = [step for step in plan_staging(seen, RULES, NOW).steps if isinstance(step, CreateStaged)]
    assert [(each.place, each.parents) for each in made] == [
        ("vault/tank/a/x", ("vault/tank", "vault/tank/a")),
        ("vault/tank/a/y", ()),
    ]


def test_nothing_older_is_staged_where_the_base_is_gone() -> None:
    old, new = (snapshot_name(NOW - days * DAY, "daily") for days in (3, 1))
    there = staged(("gone", 99))
    there = replace(there, snapshots=(there.snapshots[0]._replace(taken=NOW - 2 * DAY),))
    assert steps(state(source(old), there)) == []
    assert steps(state(source(old, new), there)) == [f"stage tank@{new}{LOST}"]


CONFLICTS: dict[str, tuple[StagingState, type[StagingConflict], str]] = {
    "somebody's dataset": (state(source(A), StagedDataset("vault/tank")), ForeignDataset, "is not ec2zfs's own"),
    "another dataset of the name": (state(source(A, guid=8), staged()), OtherSource, "was called tank before"),
    "a renamed source": (
        state(source(A, name="lake"), staged((A, 101))),
        SourceRenamed,
        "zfs rename -p vault/tank vault/lake",
    ),
    "somebody's snapshots": (
        state(source(A, B), staged((A, 101), ("theirs", 0))),
        ForeignSnapshots,
        "that ec2zfs did not take: @theirs",
    ),
    "somebody wrote": (
        state(source(A, B), replace(staged((A, 101)), written=4096)),
        StagedModified,
        "4096 bytes since @one. `zfs rollback vault/tank@one`",
    ),
    "a name taken again": (
        state(source(A, "theirs"), staged(("theirs", 99), (A, 101))),
        NameTaken,
        "`zfs rename vault/tank@theirs NEW`",
    ),
    "a long name": (state(source("n" * 246)), StagedNameTooLong, "more than 255 bytes"),
    "unmounted": (state(source(A), mount=REACHED._replace(mounted=False)), Unreachable, "`zfs mount tank` mounts"),
    "legacy": (state(source(A), mount=REACHED._replace(mountpoint="legacy")), Unreachable, "its mountpoint is legacy"),
    "locked": (state(source(A), mount=REACHED._replace(keystatus="unavailable")), Unreachable, "`zfs load-key tank`"),
    "hidden": (state(source(A), mount=REACHED._replace(snapdir="disabled")), Unreachable, "snapdir=hidden tank"),
}


@pytest.mark.parametrize("case", CONFLICTS)
def test_conflicts(case: str) -> None:
    seen, kind, words = CONFLICTS[case]
    found = planned(seen)
    assert isinstance(found.conflict, kind)
    assert words in f"{found.conflict} {found.conflict.advice()}"
    assert found.steps == ()


def test_what_is_in_conflict_while_we_were_at_work_in_it_is_rolled_back_all_the_same() -> None:
    found = planned(state(source(B, C), replace(staged((C, 99), (A, 98)), under_way=101)))
    assert isinstance(found.conflict, NameTaken)
    assert [str(step) for step in found.steps] == ["roll vault/tank back to @one"]


SKIPPED: Mapping[str, tuple[StagingState, str]] = {
    "a volume": (state(replace(source(A), kind=DatasetKind.VOLUME)), "is a volume, which has no files"),
    "never mounted": (state(source(A), mount=REACHED._replace(canmount="off")), "is never mounted (canmount=off)"),
}


@pytest.mark.parametrize("case", SKIPPED)
def test_what_is_skipped(case: str) -> None:
    seen, words = SKIPPED[case]
    found = planned(seen)
    assert words in found.skipped
    assert (found.steps, found.conflict) == ((), None)


def test_what_is_excluded_is_not_named() -> None:
    assert plan_staging(state(source(A, name="tank/scratch")), RULES, NOW).datasets == ()


def test_only_what_staging_would_keep_is_staged() -> None:
    names = [snapshot_name(NOW - place * DAY, "daily") for place in range(12, 0, -1)]
    hourly = snapshot_name(NOW, "hourly")
    seen = state(source(*names, hourly, "by hand"))
    chosen = [step.snapshot.name for step in planned(seen).steps if isinstance(step, StageSnapshot)]
    assert chosen == [*names[-9:], "by hand"]


def test_the_whole_tree_is_compared_after_so_many_days_or_when_it_is_asked_for() -> None:
    def full(walked: datetime, rules: StagingRules = RULES) -> list[tuple[bool, datetime]]:
        seen = state(source(A, B, C), staged((A, 101), walked=walked))
        return [(step.full, step.walked) for step in planned(seen, rules).steps if isinstance(step, StageSnapshot)]

    lately, long_ago = NOW - 6 * DAY, NOW - 7 * DAY
    assert full(lately) == [(False, lately), (False, lately)]
    assert full(long_ago) == [(True, NOW), (False, NOW)]
    assert full(lately, replace(RULES, full=True)) == [(True, NOW), (False, NOW)]


def test_all_again_begins_with_the_next_snapshot_and_needs_no_base() -> None:
    again = replace(RULES, again=True)
    for base in (101, 99):
        assert steps(state(source(A, B, C), staged(("before", base))), again)[-1] == "stage tank@three from @two"
        first = next(step for step in planned(state(source(A, B, C), staged(("before", base))), again).steps)
        assert isinstance(first, StageSnapshot)
        assert (first.base, first.again) == (None, True)
    assert isinstance(planned(state(source(A), staged((A, 101))), again).conflict, NothingNewer)
    assert steps(state(source(A)), again) == ["create vault/tank", "stage tank@one from nothing"]


def test_what_need_not_be_held_any_more_is_let_go() -> None:
    seen = state(source(A, B, C), staged((A, 101), (B, 102)))
    (step,) = planned(seen).steps
    assert isinstance(step, StageSnapshot)
    assert [each.name for each in step.unneeded] == [A, B]
    undone = next(iter(planned(state(source(A, B, C), replace(staged((A, 101), (B, 102)), under_way=103))).steps))
    assert isinstance(undone, RollBackStaged)
    assert [each.name for each in undone.unneeded] == [A, C]
