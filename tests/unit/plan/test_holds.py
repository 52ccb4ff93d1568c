"""What is held before the first stream, and what stays held after a run, row by row."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ec2zfs.model.replication import Replica, ReplicationState
from ec2zfs.model.snapshot import Bookmark, Dataset, ResumeToken, Snapshot
from ec2zfs.plan.cursors import cursor_name
from ec2zfs.plan.holds import Holds, Left, needed, released, wanted
from ec2zfs.plan.replication import Audit, DatasetPlan, ReplicationPlan, plan_dataset, plan_replication
from ec2zfs.plan.replication_steps import Mark, RenameCopy

GUIDS = {name: number for number, name in enumerate("abcx", start=0x100)}
LONG = "tank/" + "x" * 230
"""A dataset in which no cursor has room."""


def dataset(name: str, history: str, **more: object) -> Dataset:
    """`"a b #c"`: snapshots a and b, and the cursor of c; oldest first."""
    words = history.split()
    snapshots = (Snapshot(name, word, GUIDS[word], n) for n, word in enumerate(words) if word[0] != "#")
    cursors = (
        Bookmark(name, cursor_name("cloud", GUIDS[word[1]]), GUIDS[word[1]], n)
        for n, word in enumerate(words)
        if word[0] == "#"
    )
    return replace(Dataset(name, 1, False, tuple(snapshots), tuple(cursors)), **more)  # type: ignore[arg-type]


def planned(source: str, target: str | None, name: str = "tank", partial: ResumeToken | None = None) -> DatasetPlan:
    copy = None if target is None else dataset(f"cloud/{name}", target, partial=partial)
    return plan_dataset(Replica(name, f"cloud/{name}"), dataset(name, source), copy)


def short(holds: Holds) -> str:
    """`"a b, a"`: the names at the site, and those on the receiver."""
    sides = (sorted(name.partition("@")[2] for name in side) for side in (holds.site, holds.receiver))
    return ", ".join(" ".join(names) for names in sides)


TOKEN = ResumeToken("1-2-3-4", GUIDS["b"], "tank@b", GUIDS["a"])


@pytest.mark.parametrize(
    ("source", "target", "held"),
    [
        ("a b", None, "a b, "),
        ("a #a b c", "a", "a b c, a"),
        ("#a b", "a", "b, a"),
        ("a b", "a", "a b, a"),
        ("a b #b", "a b", ", "),
        ("a b", "a b", ", "),
        ("a b", "x", ", "),
        ("", None, ", "),
    ],
)
def test_what_is_sent_is_held_with_its_base_at_both_ends(source: str, target: str | None, held: str) -> None:
    assert short(wanted(ReplicationPlan("cloud", (planned(source, target),)))) == held


def test_a_base_that_no_bookmark_can_stand_in_for_is_held_when_nothing_is_sent() -> None:
    assert short(wanted(ReplicationPlan("cloud", (planned("a b", "a b", LONG),)))) == "b, b"


def test_the_base_of_a_copy_that_was_renamed_is_held_under_its_new_name() -> None:
    left = Left(planned("a b", "a")).following(RenameCopy("cloud/tank", "cloud/pond"))
    assert left.plan.common
    assert str(left.plan.common.copy) == "cloud/pond@a"


def done(plan: DatasetPlan, steps: int) -> DatasetPlan:
    return replace(plan, steps=plan.steps[steps:])


@pytest.mark.parametrize(
    ("plan", "begun", "stays"),
    [
        (planned("a #a b c", "a"), True, "a b, a"),
        (planned("a #a b c", "a"), False, ", "),
        (planned("a #a b c", "a", partial=TOKEN), False, "a b, a"),
        (planned("#a b c", "a", partial=TOKEN), True, "b, a"),
        (planned("a b", None), True, "a, "),
        (planned("a #a", "a"), True, ", "),
        (planned("a", "a", LONG), True, "a, a"),
        (replace(planned("a", "a"), steps=()), True, "a, a"),
    ],
    ids=["cut", "not begun", "partial", "partial since a bookmark", "first copy", "done", "no cursor", "cursor failed"],
)
def test_what_a_cut_stream_and_a_base_without_a_bookmark_need_stays(plan: DatasetPlan, begun: bool, stays: str) -> None:
    assert short(needed(Left(plan, begun))) == stays


def test_the_rest_is_released_and_a_dataset_in_conflict_keeps_its_own() -> None:
    cut, parted = planned("a #a b c", "a"), planned("a b", "a x", "tank/parted")
    assert parted.conflict
    sites = {"tank@a", "tank@b", "tank@c", "tank/parted@a", "tank/gone@a"}
    held = Holds(frozenset(sites), frozenset({"cloud/tank@a", "cloud/tank/parted@a", "cloud/old@x"}))
    assert released(held, [Left(cut, begun=True), Left(parted)]) == Holds(
        frozenset({"tank@c", "tank/gone@a"}), frozenset({"cloud/old@x"})
    )


def test_a_cursor_that_the_plan_makes_is_as_good_as_one_that_stands() -> None:
    plan = planned("a b", "a b")
    assert [step.snapshot.name for step in plan.steps if isinstance(step, Mark)] == ["b"]
    assert needed(Left(plan)) == Holds()


@pytest.mark.parametrize(
    ("source", "pool", "copy", "audit"),
    [
        ((), (), (), Audit()),
        (("cloud",), (), (), Audit(site=("tank",))),
        (("other",), ("other",), (), Audit()),
        ((), ("other", "cloud"), (), Audit(receiver=("cloud", "cloud/tank"))),
        ((), (), ("cloud",), Audit()),
    ],
)
def test_holds_are_looked_for_where_zfs_remembers_that_there_may_be_some(
    source: tuple[str, ...], pool: tuple[str, ...], copy: tuple[str, ...], audit: Audit
) -> None:
    targets = (dataset("cloud", "", held_for=pool), dataset("cloud/tank", "a", held_for=copy))
    assert plan_replication(ReplicationState("cloud", (dataset("tank", "a", held_for=source),), targets)).audit == audit
