"""Whose turn it is: what waits, what runs, and who may begin."""

from __future__ import annotations

import pytest

from ec2zfs.model.replication import Replica
from ec2zfs.model.snapshot import ResumeToken, Snapshot
from ec2zfs.plan.replication import DatasetPlan
from ec2zfs.plan.replication_steps import CreateParent, Full, Incremental, RenameCopy, Resume, Step
from ec2zfs.plan.turns import begins, founded, next_turn

ONE, TWO = (Snapshot("tank", name, number, number) for number, name in enumerate(("one", "two"), 1))


def plan(name: str, *kinds: str) -> DatasetPlan:
    """A dataset's plan: `full`, `more`, `rest` (of a full stream), `rename`, or the name of a parent to create."""
    replica = Replica(f"tank/{name}", f"cloud/tank/{name}")
    steps: dict[str, Step] = {
        "full": Full(replica, ONE),
        "more": Incremental(replica, ONE, TWO),
        "rest": Resume(replica, None, ONE, ResumeToken("1-a")),
        "rename": RenameCopy("cloud/tank/old", replica.target),
    }
    return DatasetPlan(replica, tuple(steps.get(kind, CreateParent(f"cloud/tank/{kind}")) for kind in kinds))


A, A_B, A_C, B = "a", "a/b", "a/c", "b"


@pytest.mark.parametrize(
    ("waiting", "running", "turn"),
    [
        pytest.param([], [], None, id="nothing waits"),
        pytest.param([plan(A, "full")], [plan(B, "full")], A, id="beside another"),
        pytest.param([plan(A_B, "full")], [plan(A, "full")], None, id="below a first copy"),
        pytest.param([plan(A_B, "full")], [plan(A, "rest")], None, id="below a first copy that was cut"),
        pytest.param([plan(A_B, "full")], [plan(A, "more")], A_B, id="below a copy that stands"),
        pytest.param([plan(A_B, "full"), plan(B, "full")], [plan(A, "full")], B, id="past one that must wait"),
        pytest.param(
            [plan(A_B, "full"), plan("a/b/c", "full")], [plan(A, "full")], None, id="below two that are to come"
        ),
        pytest.param([plan("ab", "full")], [plan(A, "full")], "ab", id="a name that only begins alike"),
        pytest.param([plan(A_C, "full")], [plan(A_B, A, "full")], None, id="below a parent that is being created"),
        pytest.param(
            [plan(A_C, "full")], [founded(plan(A_B, A, "full"), "cloud/tank/a")], A_C, id="below one that was created"
        ),
        pytest.param(
            [plan("a/b/d", "full")], [founded(plan("a/b/c", A, A_B, "full"), "cloud/tank/a")], None, id="one of two"
        ),
        pytest.param([plan(A, "rename")], [], A, id="a rename alone"),
        pytest.param(
            [plan(A, "rename"), plan(B, "full")], [plan("c", "more")], None, id="a rename waits for all before"
        ),
        pytest.param([plan(B, "full")], [plan(A, "rename")], None, id="all wait for a rename"),
        pytest.param(
            [plan(A_B, "full"), plan(B, "rename")], [plan(A, "full")], None, id="a rename does not pass what waits"
        ),
    ],
)
def test_turns(waiting: list[DatasetPlan], running: list[DatasetPlan], turn: str | None) -> None:
    found = next_turn(waiting, running)
    assert (found and found.replica.source.removeprefix("tank/")) == turn


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [((), False), (("more",), False), (("full", "more"), True), (("rest",), True), (("rename", "more"), True)],
)
def test_what_begins_a_copy(kinds: tuple[str, ...], expected: bool) -> None:
    assert begins(plan(A, *kinds)) is expected
