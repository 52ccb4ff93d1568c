"""What `zfs` must do when snapshots are pruned: cases of zfs_suite.py, for real OpenZFS and for the tests' memory."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from tests.contract.zfs_sides import Sides

from ec2zfs.execute.pruning import freed, plan_pruning, prune
from ec2zfs.execute.snapshots import PERIOD
from ec2zfs.model.policy import Keep
from ec2zfs.model.send_flags import SEND
from ec2zfs.model.snapshot import Snapshot
from ec2zfs.model.snapshot_name import snapshot_name
from ec2zfs.plan.pruning import TierRules
from ec2zfs.plan.replication_steps import Full, Incremental
from ec2zfs.tools.zfs import Zfs
from ec2zfs.tools.zfs_holds import ZfsHolds

NOW = datetime(2026, 11, 23, 2, 17, tzinfo=UTC)
MIB = 1 << 20
ONE = TierRules(lambda _dataset: {"daily": Keep(1)}, PERIOD)


def name(age: int) -> str:
    """Of a daily snapshot so many hours ago."""
    return snapshot_name(NOW - timedelta(hours=age), "daily")


def taken(sides: Sides, *ages: int) -> list[Snapshot]:
    """Snapshots that are ours, each after a MiB was written."""
    for age in ages:
        sides.grown(f"by hand {age}")
        Zfs(sides.site).snapshot([f"{sides.source}@{name(age)}"], {PERIOD: "daily"})
        sides.hands.destroy(f"{sides.source}@by hand {age}")
    return list(sides.of_source().snapshots)


def names(sides: Sides) -> list[str]:
    return [snapshot.name for snapshot in sides.of_source().snapshots]


def what_is_ours_goes_and_frees_what_was_told(sides: Sides) -> None:
    taken(sides, 3, 2, 1)
    sides.grown("by hand")
    plan = plan_pruning(sides.site, [sides.of_source()], ONE, NOW)
    assert ([each.snapshot.name for each in plan.spared], plan.count) == ([], 2)
    (foretold,) = freed(sides.site, plan)
    assert names(sides) == [name(3), name(2), name(1), "by hand"]
    pruned = prune(sides.site, plan)
    assert (pruned.count, pruned.bytes, pruned.warnings) == (2, foretold, ())
    assert names(sides) == [name(1), "by hand"]
    assert plan_pruning(sides.site, [sides.of_source()], ONE, NOW).actions == ()


def what_only_looks_like_ours_stays(sides: Sides) -> None:
    for age in (3, 2):
        sides.hands.snapshot(f"{sides.source}@{name(age)}", 1)
    taken(sides, 1)
    plan = plan_pruning(sides.site, [sides.of_source()], ONE, NOW)
    assert [each.reason for each in plan.spared] == ["ec2zfs did not make it"] * 2
    assert plan.count == 0


def what_is_held_or_has_a_clone_stays(sides: Sides) -> None:
    held, cloned, free, _ = taken(sides, 4, 3, 2, 1)
    ZfsHolds(sides.site).hold("suite", [str(held)])
    sides.hands.clone(str(cloned), f"{sides.source}/clone")
    plan = plan_pruning(sides.site, [sides.of_source()], ONE, NOW)
    told = [each.reason for each in plan.spared]
    assert told == ["it is held (`ec2zfs holds`)", f"it has the clone {sides.source}/clone"]
    assert prune(sides.site, plan).count == 1
    assert free.name not in names(sides)


def a_snapshot_that_is_held_or_gone_meanwhile_harms_nothing(sides: Sides) -> None:
    first, second, _ = taken(sides, 3, 2, 1)
    plan = plan_pruning(sides.site, [sides.of_source()], ONE, NOW)
    ZfsHolds(sides.site).hold("suite", [str(first)])
    pruned = prune(sides.site, plan)
    assert (pruned.count, len(pruned.warnings)) == (0, 1)
    assert "could not be destroyed, ZFS said: cannot destroy" in pruned.warnings[0]
    assert names(sides) == [name(3), name(2), name(1)], "whole or not at all"
    sides.hands.destroy(str(second))
    pruned = prune(sides.site, plan)
    assert pruned.warnings == (
        f"2 snapshots of {sides.source} could not be destroyed, they are not what they were a moment ago.",
    )
    assert names(sides) == [name(3), name(1)]


def three_hundred_go_in_one_batch(sides: Sides) -> None:
    snapshots = [f"{sides.source}@{name(age)}" for age in range(300, -1, -1)]
    for each in snapshots:
        Zfs(sides.site).snapshot([each], {PERIOD: "daily"})
    plan = plan_pruning(sides.site, [sides.of_source()], ONE, NOW)
    assert (len(plan.actions), plan.count) == (1, 300)
    assert prune(sides.site, plan).count == 300
    assert names(sides) == [name(0)]


def a_copys_snapshots_are_ours_and_the_next_increment_still_comes(sides: Sides) -> None:
    first, second, third = taken(sides, 3, 2, 1)
    sides.send(Full(sides.replica, first))
    sides.send(Incremental(sides.replica, first, second))
    copy = sides.copy()
    assert copy
    rules = TierRules(ONE.keeps, SEND)
    assert prune(sides.receiver, plan_pruning(sides.receiver, [copy], rules, NOW)).count == 1
    sides.send(Incremental(sides.replica, second, third))
    assert [each for each, _ in sides.copied()] == [name(2), name(1)]


PRUNING_CASES: tuple[Callable[[Sides], None], ...] = (
    what_is_ours_goes_and_frees_what_was_told,
    what_only_looks_like_ours_stays,
    what_is_held_or_has_a_clone_stays,
    a_snapshot_that_is_held_or_gone_meanwhile_harms_nothing,
    three_hundred_go_in_one_batch,
    a_copys_snapshots_are_ours_and_the_next_increment_still_comes,
)
