"""What `ec2zfs repair` decides, row by row, and that it does it, in the right copy, however often it is killed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import count

import pytest
from tests.fakes.fuse import Killed
from tests.unit.replication.test_plan import dataset
from tests.unit.replication.world import TANK, World, deaths_of

from ec2zfs.errors import CommandFailed, Refused
from ec2zfs.execute.reconciliation import Reconciler
from ec2zfs.model.replication import ReplicationState
from ec2zfs.model.snapshot import Dataset, DatasetKind
from ec2zfs.plan.reconciliation import Remedy, RollBack, SetAside, dataset_plan, plan_remedy
from ec2zfs.plan.replication import plan_replication
from ec2zfs.plan.settled import SETTLED

NOW = datetime(2026, 11, 27, 5, 10, tzinfo=UTC)
ASIDE = "cloud/tank/home-set-aside-20261127T0510Z"


def state(source: Dataset, target: Dataset, *others: Dataset) -> ReplicationState:
    return ReplicationState("cloud", (source,), (dataset("cloud", ""), dataset("cloud/tank", ""), target, *others))


def decided(seen: ReplicationState, *, set_aside: bool = False) -> Remedy:
    conflict = dataset_plan(plan_replication(seen), seen.sources[0].name).conflict
    assert conflict
    return plan_remedy(conflict, seen, NOW, set_aside=set_aside)


@pytest.mark.parametrize(
    ("source", "target", "written", "to", "doomed"),
    [
        ("a b", "a x", 0, "a", "x"),
        ("a b c", "a b x y", 7, "b", "x y"),
        ("#a b", "a x", 0, "a", "x"),
        ("a b", "a", 4096, "a", ""),
        ("c", "a c", 1, "c", ""),
    ],
)
def test_it_rolls_back_to_the_last_common_snapshot(
    source: str, target: str, written: int, to: str, doomed: str
) -> None:
    held = dataset("cloud/tank/home", target, written=written)
    remedy = decided(state(dataset("tank/home", source), held))
    assert isinstance(remedy, RollBack)
    assert (remedy.to.name, [snap.name for snap in remedy.doomed]) == (to, doomed.split())
    assert (remedy.copy, remedy.seen, remedy.written) == (held.name, held.snapshots, written)


@pytest.mark.parametrize(
    ("source", "target", "asked"),
    [
        (dataset("tank/home", "a b"), dataset("cloud/tank/home", "x"), False),
        (dataset("tank/home", "a b"), dataset("cloud/tank/home", ""), False),
        (dataset("tank/home", "a b"), dataset("cloud/tank/home", "a", encrypted=True), False),
        (dataset("tank/home", "a b"), dataset("cloud/tank/home", "a", kind=DatasetKind.VOLUME), False),
        (dataset("tank/home", "a b"), dataset("cloud/tank/home", "a x"), True),
        (dataset("tank/home", "a b"), dataset("cloud/tank/home", "a", written=1), True),
    ],
)
def test_what_has_no_common_snapshot_or_is_to_be_kept_is_set_aside(
    source: Dataset, target: Dataset, asked: bool
) -> None:
    below = dataset("cloud/tank/home/ann", "a")
    beside = dataset("cloud/tank/homes", "a")
    remedy = decided(state(source, target, below, beside), set_aside=asked)
    assert remedy == SetAside("cloud/tank/home", ASIDE, target.guid, ("cloud/tank/home/ann",))


def test_a_name_that_would_be_too_long_is_made_below_the_pool() -> None:
    name = "tank/home" + "x" * 220
    remedy = decided(state(dataset(name, "a"), dataset(f"cloud/{name}", "x")))
    assert isinstance(remedy, SetAside)
    assert remedy.name == "cloud/set-aside-20261127T0510Z"
    deep = dataset(f"cloud/{name}/y", "a")
    assert decided(state(dataset(name, "a"), dataset(f"cloud/{name}", "x"), deep)) == replace(
        remedy, below=(deep.name,)
    )


def test_a_name_that_is_taken_is_not_used() -> None:
    both = (dataset(ASIDE, "a"), dataset("cloud/set-aside-20261127T0510Z", "a"))
    with pytest.raises(Refused, match="in this very minute"):
        decided(state(dataset("tank/home", "a"), dataset("cloud/tank/home", "x"), *both))


def test_a_name_too_long_is_no_matter_of_the_copy() -> None:
    name = "tank/" + "x" * 245
    with pytest.raises(Refused, match="Nothing can be repaired at the copy") as caught:
        decided(state(dataset(name, "a b"), dataset(f"cloud/{name}", "a")))
    assert "zfs rename" in caught.value.hint


@pytest.mark.parametrize("name", ["tank/home", "cloud/tank/home"])
def test_a_dataset_is_known_by_both_its_names(name: str) -> None:
    plan = plan_replication(state(dataset("tank/home", "a"), dataset("cloud/tank/home", "a")))
    assert dataset_plan(plan, name).replica.source == "tank/home"


def test_what_is_no_dataset_of_ours_is_refused() -> None:
    plan = plan_replication(state(dataset("tank/home", "a"), dataset("cloud/tank/home", "a")))
    with pytest.raises(Refused, match="tank/hoem is neither"):
        dataset_plan(plan, "tank/hoem")


# Done


def diverged(world: World) -> None:
    for name in ("theirs", "theirs too"):
        world.receiver.zfs.snapshot("cloud/tank", name, 10)
    world.receiver.zfs.find("cloud/tank").written = 5


def modified(world: World) -> None:
    world.receiver.zfs.find("cloud/tank").written = 5


def strange(world: World) -> None:
    world.receiver.zfs.find("cloud/tank").snapshots.clear()
    world.receiver.zfs.snapshot("cloud/tank", "theirs", 10)


def world_with(accident: Callable[[World], None]) -> World:
    """Two snapshots copied, one more at the site, and an accident at the copy."""
    world = World()
    world.receiver.may_repair = True
    world.site.zfs.create("tank/home")
    for name in ("one", "two"):
        world.take(f"{name}")
    world.replicate().raise_for_errors()
    accident(world)
    world.take("three")
    world.replicate()
    assert world.copies()["tank"][-1] != "three"
    return world


def look(world: World, *, set_aside: bool = False) -> Remedy | None:
    seen = world.replicator().observe(TANK)
    conflict = dataset_plan(plan_replication(seen), "tank").conflict
    return plan_remedy(conflict, seen, NOW, set_aside=set_aside) if conflict else None


def repair(world: World, *, set_aside: bool = False) -> None:
    remedy = look(world, set_aside=set_aside)
    if remedy:
        Reconciler(world.receiver).carry_out(remedy)


CASES = {
    "diverged": (diverged, False, {"tank"}),
    "modified": (modified, False, {"tank"}),
    "strange": (strange, False, {"tank", "tank-set-aside-20261127T0510Z"}),
    "diverged and to be kept": (diverged, True, {"tank", "tank-set-aside-20261127T0510Z"}),
}


@pytest.mark.parametrize("case", CASES)
def test_after_a_repair_the_next_run_carries_on(case: str) -> None:
    accident, set_aside, left = CASES[case]
    world = world_with(accident)
    before = world.copies()["tank"]
    repair(world, set_aside=set_aside)
    world.replicate().raise_for_errors()
    copies = world.copies()
    assert copies["tank"] == ["one", "two", "three"]
    assert {name for name in copies if "/" not in name} == left
    if len(left) == 2:
        assert copies["tank-set-aside-20261127T0510Z"] == before


def test_that_nothing_but_copies_is_in_the_pool_is_no_longer_noted_when_one_is_set_aside() -> None:
    world = world_with(diverged)
    world.receiver.zfs.find("cloud").properties[SETTLED] = "1 0123456789abcdef 1795852980"
    repair(world, set_aside=True)
    assert SETTLED not in world.receiver.zfs.find("cloud").properties


@pytest.mark.parametrize("case", CASES)
def test_killed_at_any_event_and_run_again_it_ends_the_same(case: str) -> None:
    accident, set_aside, _ = CASES[case]
    straight = world_with(accident)
    deaths = deaths_of(straight, partial(repair, set_aside=set_aside), at_least=2)
    straight.replicate().raise_for_errors()
    for death in deaths:
        world = death.world
        repair(world, set_aside=set_aside)
        world.replicate().raise_for_errors()
        assert world.copies() == straight.copies(), death.calls


def test_without_a_conflict_nothing_is_to_be_done() -> None:
    assert look(world_with_nothing()) is None


def world_with_nothing() -> World:
    world = World()
    world.site.zfs.snapshot("tank", "one")
    world.replicate()
    return world


@pytest.mark.parametrize("set_aside", [False, True])
def test_a_copy_that_changed_meanwhile_is_left_alone(set_aside: bool) -> None:
    world = world_with(diverged)
    remedy = look(world, set_aside=set_aside)
    assert remedy
    if set_aside:
        world.receiver.zfs.find("cloud/tank").guid = 1
    else:
        world.receiver.zfs.snapshot("cloud/tank", "meanwhile")
    before = repr(world.receiver.zfs)
    with pytest.raises(Refused, match="changed since it was looked at"):
        Reconciler(world.receiver).carry_out(remedy)
    assert repr(world.receiver.zfs) == before


def test_what_others_hold_is_refused_with_the_holder_and_ours_is_released() -> None:
    world = world_with(diverged)
    held = world.receiver.zfs.find("cloud/tank")
    last = held.snapshots[-1]
    held.holds[last.guid] = {"ec2zfs:cloud": 1, "the auditor": 2}
    before, remedy = repr(world.receiver.zfs), look(world)
    assert remedy
    for deed in (Reconciler(world.receiver).require_unheld, Reconciler(world.receiver).carry_out):
        with pytest.raises(Refused, match="cloud/tank@theirs too by 'the auditor'") as caught:
            deed(remedy)
        assert "zfs release" in caught.value.hint
    assert repr(world.receiver.zfs) == before
    del held.holds[last.guid]["the auditor"]
    repair(world)
    assert world.copies()["tank"] == ["one", "two"]


def test_a_snapshot_that_comes_at_the_last_moment_is_not_rolled_over() -> None:
    world = world_with(modified)
    remedy = look(world)
    assert remedy

    def meddle(event: str) -> None:
        if "before zfs rollback" in event:
            world.receiver.zfs.snapshot("cloud/tank", "late")

    world.receiver.hook = meddle
    with pytest.raises(CommandFailed, match="more recent snapshots"):
        Reconciler(world.receiver).carry_out(remedy)
    assert world.copies()["tank"] == ["one", "two", "late"]


def test_what_a_roll_back_frees_is_told() -> None:
    world = world_with(diverged)
    remedy = look(world)
    assert remedy
    assert Reconciler(world.receiver).freed(remedy) == 20
    world = world_with(modified)
    remedy = look(world)
    assert remedy
    assert Reconciler(world.receiver).freed(remedy) == 0


def test_a_part_that_waits_for_its_rest_goes_with_the_roll_back() -> None:
    world = world_with(modified)
    world.receiver.zfs.find("cloud/tank").written = 0
    world.transport.break_at = {1: Killed("gone")}
    world.transport.number = count(1)
    with pytest.raises(Killed):
        world.replicate()
    world.transport.break_at = {}
    modified(world)
    assert world.receiver.zfs.find("cloud/tank").partial
    repair(world)
    assert world.receiver.zfs.find("cloud/tank").partial is None
    world.replicate().raise_for_errors()
