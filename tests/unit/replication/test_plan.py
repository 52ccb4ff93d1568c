"""What the planner decides, row by row: the source's history and the target's, and the steps or the conflict."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ec2zfs.errors import NoSpace
from ec2zfs.model.replication import Replica, ReplicationState
from ec2zfs.model.send_flags import SendFlags
from ec2zfs.model.snapshot import Bookmark, Dataset, DatasetKind, ResumeToken, Snapshot
from ec2zfs.plan.conflicts import Diverged, conflict_error
from ec2zfs.plan.cursors import cursor_name, expected_state
from ec2zfs.plan.replication import SLACK_BYTES, DatasetPlan, plan_dataset, plan_replication, require_space
from ec2zfs.plan.replication_steps import (
    CreateParent,
    DropPartial,
    Full,
    Incremental,
    Mark,
    RenameCopy,
    Resume,
    Step,
    TokenForeign,
)

GUIDS = {name: number for number, name in enumerate("abcdexyz", start=0x100)}


def dataset(name: str, history: str, **more: object) -> Dataset:
    """`"a b #c"`: snapshots a and b, and a bookmark of c. A letter is always the same GUID; oldest first."""
    words = history.split()
    snapshots = (Snapshot(name, word, GUIDS[word], index) for index, word in enumerate(words) if word[0] != "#")
    bookmarks = (
        Bookmark(name, f"mark-{word[1]}", GUIDS[word[1]], index) for index, word in enumerate(words) if word[0] == "#"
    )
    return replace(Dataset(name, 1, False, tuple(snapshots), tuple(bookmarks)), **more)  # type: ignore[arg-type]


def token(to: str, base: str = "", **more: object) -> ResumeToken:
    held = ResumeToken("1-2-3-4", GUIDS[to], f"tank/home@{to}", GUIDS[base] if base else 0)
    return replace(held, **more)  # type: ignore[arg-type]


def short(step: Step) -> str:
    match step:
        case Full():
            return f"full {step.to.name}"
        case Incremental():
            return f"{'#' if isinstance(step.base, Bookmark) else ''}{step.base.name}>{step.to.name}"
        case Resume():
            return f"resume {step.to.name}"
        case DropPartial():
            return "drop"
        case CreateParent():
            return f"create {step.name}"
        case RenameCopy():
            return f"rename {step.old}"
        case Mark():
            return f"mark {step.snapshot.name}" + (f" -{len(step.outdated)}" if step.outdated else "")


def plan_for(source: Dataset, target: Dataset | None) -> DatasetPlan:
    replica = Replica(source.name, f"cloud/{source.name}", source.kind, SendFlags.of(encrypted=source.encrypted))
    return plan_dataset(replica, source, target)


def steps(source: Dataset, target: Dataset | None, *, marks: bool = False) -> str:
    plan = plan_for(source, target)
    assert plan.conflict is None, plan.conflict
    return ", ".join(short(step) for step in plan.steps if marks or not isinstance(step, Mark))


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("", None, ""),
        ("a", None, "full a"),
        ("a b c", None, "full a, a>b, b>c"),
        ("a b c", "a", "a>b, b>c"),
        ("a b c", "a b", "b>c"),
        ("a b c", "a b c", ""),
        ("b c", "a b", "b>c"),
        ("#a b c", "a", "#mark-a>b, b>c"),
        ("a #b c", "a b", "#mark-b>c"),
        ("a #a b", "a", "a>b"),
        ("a b c", "b", "b>c"),
        ("a #b", "b", ""),
    ],
)
def test_every_snapshot_after_the_common_base_is_sent_in_turn(source: str, target: str | None, expected: str) -> None:
    copy = None if target is None else dataset("cloud/tank/home", target)
    assert steps(dataset("tank/home", source), copy) == expected


def test_a_base_is_known_by_its_guid_and_not_by_its_name() -> None:
    source = dataset("tank/home", "a b")
    renamed = replace(source, snapshots=(source.snapshots[0]._replace(name="renamed"), source.snapshots[1]))
    assert steps(renamed, dataset("cloud/tank/home", "a")) == "renamed>b"


@pytest.mark.parametrize(
    ("source", "target", "conflict"),
    [
        ("a b", "a x", "Diverged"),
        ("#a b", "a x", "Diverged"),
        ("a b", "x", "NoCommonBase"),
        ("a b", "", "TargetOccupied"),
    ],
)
def test_histories_that_went_separate_ways(source: str, target: str, conflict: str) -> None:
    plan = plan_for(dataset("tank/home", source), dataset("cloud/tank/home", target))
    assert (type(plan.conflict).__name__, plan.steps) == (conflict, ())


@pytest.mark.parametrize(("length", "fits"), [(238, True), (239, False)])
def test_a_copy_has_a_name_that_zfs_can_lengthen_while_it_receives(length: int, fits: bool) -> None:
    plan = plan_for(dataset("tank/" + "x" * length, "a"), None)
    assert (plan.conflict is None) is fits
    if not fits:
        assert "would have a name of 256 bytes" in str(plan.conflict)


@pytest.mark.parametrize(
    ("source", "target", "conflict"),
    [
        ({}, {"written": 4096}, "TargetModified"),
        ({}, {"encrypted": True}, "EncryptionChanged"),
        ({"encrypted": True}, {}, "EncryptionChanged"),
        ({}, {"kind": DatasetKind.VOLUME}, "KindChanged"),
        ({}, {"send": "-L -e -c --more"}, "SendFlagsUnknown"),
        ({}, {"send": "-c"}, "SendFlagsUnknown"),
        ({"name": "tank/" + "x" * 239}, {}, "NameTooLong"),
    ],
)
def test_what_else_stands_in_the_way(source: dict[str, object], target: dict[str, object], conflict: str) -> None:
    ours = dataset(str(source.pop("name", "tank/home")), "a b", **source)
    theirs = dataset(f"cloud/{ours.name}", "a", **target)
    plan = plan_for(ours, theirs)
    assert (type(plan.conflict).__name__, plan.steps) == (conflict, ())


def test_a_conflict_carries_its_evidence_and_says_what_to_do() -> None:
    plan = plan_for(dataset("tank/home", "a b c"), dataset("cloud/tank/home", "a x y"))
    conflict = plan.conflict
    assert isinstance(conflict, Diverged)
    assert [snap.name for snap in conflict.only_source] == ["b", "c"]
    assert [snap.name for snap in conflict.only_target] == ["x", "y"]
    error = conflict_error(conflict)
    assert "@x, @y" in error.message
    assert "`ec2zfs repair tank/home --dry-run`" in error.hint
    assert "Nothing was sent" in error.hint


@pytest.mark.parametrize(
    ("source", "target", "partial", "expected"),
    [
        ("a b", "", token("a"), "resume a, a>b"),
        ("a b c", "a", token("b", "a"), "resume b, b>c"),
        ("#a b", "a", token("b", "a"), "resume b"),
        ("b c", "", token("a"), "drop, full b, b>c"),
        ("a c", "a", token("b", "a"), "drop, a>c"),
        ("a", "a", token("b", "a"), "drop"),
        ("a b c", "a", token("c", "a"), "drop, a>b, b>c"),
        ("a b", "a", token("b", "x"), "drop, a>b"),
        ("a b", "a", token("b"), "drop, a>b"),
        ("a b", "a", token("b", "a", to_name="tank/other@b"), "drop, a>b"),
        ("a b", "a", token("b", "a", raw=True), "drop, a>b"),
        ("a b", "a", token("b", "a", foreign="it holds redact_snaps"), "drop, a>b"),
        ("a b", "a", ResumeToken("nonsense", foreign="it is not a resume token"), "drop, a>b"),
    ],
)
def test_a_resume_token_is_believed_only_for_the_very_next_stream(
    source: str, target: str, partial: ResumeToken, expected: str
) -> None:
    assert steps(dataset("tank/home", source), dataset("cloud/tank/home", target, partial=partial)) == expected


def test_a_token_that_is_not_believed_is_told_with_its_reason() -> None:
    partial = token("b", "a", to_name="tank/other@b")
    plan = plan_for(dataset("tank/home", "a b"), dataset("cloud/tank/home", "a", partial=partial))
    drop = next(step for step in plan.steps if isinstance(step, DropPartial))
    assert drop.fault == TokenForeign(partial, "it names tank/other@b, which is now tank/home@b")
    assert str(drop) == f"drop the partly received stream in cloud/tank/home: {drop.fault.reason}"


def test_an_encrypted_source_resumes_raw_streams_only() -> None:
    source = dataset("tank/home", "a b", encrypted=True)
    for raw, expected in ((True, "resume b"), (False, "drop, a>b")):
        target = dataset("cloud/tank/home", "a", encrypted=True, partial=token("b", "a", raw=raw))
        assert steps(source, target) == expected


@pytest.mark.parametrize(
    ("history", "existing", "target", "expected"),
    [
        ("a b", "", None, "full a, mark a, a>b, mark b -1"),
        ("a b", "", "a", "mark a, a>b, mark b -1"),
        ("a b", "a", "a", "a>b, mark b -1"),
        ("a b", "b", "a b", ""),
        ("a b", "a", "a b", "mark b -1"),
        ("a b", "a b", "a b", "mark b -1"),
        ("b", "a", "a", "#ec2zfs_cloud_0000000000000100>b, mark b -1"),
    ],
)
def test_the_cursor_follows_the_last_common_snapshot(
    history: str, existing: str, target: str | None, expected: str
) -> None:
    source = dataset("tank/home", history)
    bookmarks = tuple(
        Bookmark(source.name, cursor_name("cloud", GUIDS[word]), GUIDS[word], index - 2)
        for index, word in enumerate(existing.split())
    )
    copy = None if target is None else dataset("cloud/tank/home", target)
    assert steps(replace(source, bookmarks=bookmarks), copy, marks=True) == expected


def test_only_cursors_of_this_pool_are_outdated() -> None:
    names = ("mine", cursor_name("other", 1), cursor_name("cloud", 1), "ec2zfs_cloud_x")
    marks = tuple(Bookmark("tank/home", name, 1, 0) for name in names)
    plan = plan_for(replace(dataset("tank/home", "a"), bookmarks=marks), None)
    assert [step.outdated for step in plan.steps if isinstance(step, Mark)] == [(cursor_name("cloud", 1),)]


def test_a_cursor_whose_name_would_be_too_long_is_left_out() -> None:
    source = dataset("tank/" + "x" * 230, "a")
    assert steps(source, None, marks=True) == "full a"


def planned(sources: list[Dataset], targets: list[str]) -> dict[str, str]:
    state = ReplicationState("cloud", tuple(sources), tuple(dataset(name, "") for name in ("cloud", *targets)), 1 << 40)
    return {
        plan.replica.source: plan.note or ", ".join(short(step) for step in plan.steps if not isinstance(step, Mark))
        for plan in plan_replication(state).datasets
    }


def test_parents_come_first_and_are_created_where_no_source_is() -> None:
    sources = [dataset("tank/a/b/c", "a"), dataset("tank/a", "a"), dataset("tank/a/b/d", "a")]
    assert planned(sources, []) == {
        "tank/a": "create cloud/tank, full a",
        "tank/a/b/c": "create cloud/tank/a/b, full a",
        "tank/a/b/d": "full a",
    }


def test_a_child_waits_for_a_parent_that_has_no_snapshot_yet() -> None:
    assert planned([dataset("tank", ""), dataset("tank/new", "a")], []) == {
        "tank": "it has no snapshot yet",
        "tank/new": "it waits for the first copy of its parent",
    }


def test_a_conflict_in_a_parent_does_not_hold_its_children_up() -> None:
    assert planned([dataset("tank", "a"), dataset("tank/a", "a")], ["cloud/tank"]) == {"tank": "", "tank/a": "full a"}


@pytest.mark.parametrize(("available", "fits"), [(0, False), (2_000_000, False), (2_100_000 + SLACK_BYTES, True)])
def test_no_stream_begins_that_would_not_fit(available: int, fits: bool) -> None:
    plan = plan_replication(ReplicationState("cloud", (dataset("tank", "a b"),), (dataset("cloud", ""),), available))
    steps = tuple(replace(step, bytes=1_000_000) for step in plan.transfers)
    sized = replace(plan, datasets=(replace(plan.datasets[0], steps=steps),))
    if fits:
        require_space(sized)
        return
    with pytest.raises(NoSpace, match=r"1\.9 MiB are to be sent") as caught:
        require_space(sized)
    assert f"has {available / 1024**2:.1f} MiB free" in caught.value.message


def test_nothing_to_send_fits_into_a_full_pool() -> None:
    targets = (dataset("cloud", ""), dataset("cloud/tank", "a"))
    require_space(plan_replication(ReplicationState("cloud", (dataset("tank", "a"),), targets, 0)))


def test_the_cursors_alone_tell_what_the_pool_should_have() -> None:
    fresh = dataset("tank/new", "a")
    known = replace(
        dataset("tank/old", "a b"), bookmarks=(Bookmark("tank/old", cursor_name("cloud", GUIDS["a"]), GUIDS["a"], 0),)
    )
    plan = plan_replication(expected_state("cloud", (fresh, known)))
    assert [short(step) for step in plan.transfers] == ["full a", "a>b"]
    assert plan.available is None


@pytest.mark.parametrize(
    ("encrypted", "told", "flags"),
    [
        (False, "", "-L -e -c"),
        (False, "-L -e -c", "-L -e -c"),
        (True, "", "-w"),
        (True, "-w", "-w"),
        (False, "-w", "-L -e -c"),
        (True, "-L -e -c", "-w"),
    ],
    ids=["earlier version", "told", "sealed, earlier", "sealed, told", "inherited", "sealed, inherited"],
)
def test_a_copy_goes_on_with_the_flags_with_which_it_was_begun(encrypted: bool, told: str, flags: str) -> None:
    source = dataset("tank", "a b", encrypted=encrypted)
    targets = (dataset("cloud", ""), dataset("cloud/tank", "a", encrypted=encrypted, send=told))
    (plan,) = plan_replication(ReplicationState("cloud", (source,), targets)).datasets
    assert (plan.conflict, plan.replica.flags) == (None, flags)


def test_what_is_plain_below_a_sealed_dataset_is_known() -> None:
    sources = (dataset("tank", "a"), dataset("tank/s", "a", encrypted=True), dataset("tank/s/x/y", "a"))
    plan = plan_replication(ReplicationState("cloud", sources, (dataset("cloud", ""),)))
    assert [(each.replica.raw, each.replica.below_raw) for each in plan.datasets] == [
        (False, False),
        (True, False),
        (False, True),
    ]
