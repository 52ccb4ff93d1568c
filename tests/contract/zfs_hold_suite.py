"""What `zfs` must do about holds: cases of zfs_suite.py, for real OpenZFS and for the tests' memory."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.contract.zfs_sides import Sides

from ec2zfs.errors import CommandFailed
from ec2zfs.plan.replication_steps import Full, Incremental, Resume
from ec2zfs.tools.zfs_holds import ZfsHolds, busy_snapshot, with_keepers


def a_held_snapshot_is_not_destroyed(sides: Sides) -> None:
    one, two = sides.grown("one"), sides.grown("two")
    holds = ZfsHolds(sides.site)
    holds.hold("suite", [str(one)])
    refusal = sides.hands.destroy_in_vain(str(one))
    assert re.search(f"cannot destroy .*{one}.*(being held|busy)", refusal), refusal
    assert sides.hands.destroy_in_vain(str(two)) == ""
    holds.release("suite", [str(one)], all_of=[str(one)])
    assert sides.hands.destroy_in_vain(str(one)) == ""


def holds_are_told_with_tag_and_time(sides: Sides) -> None:
    child = f"{sides.source}/child"
    sides.hands.create(child)
    sides.hands.snapshot(f"{child}@one", 1)
    one, holds = sides.grown("one"), ZfsHolds(sides.site)
    sides.grown("two")
    assert holds.holds([sides.source, child]) == ()
    holds.hold("suite", [str(one), f"{child}@one"])
    sides.hands.hold("mine", str(one))
    found = holds.holds([sides.source, child, f"{sides.source}/none"])
    assert {(hold.snapshot, hold.tag, hold.pool) for hold in found} == {
        (str(one), "ec2zfs:suite", "suite"),
        (str(one), "mine", ""),
        (f"{child}@one", "ec2zfs:suite", "suite"),
    }
    assert all(hold.since and hold.since.year > 2024 for hold in found)
    assert {hold.snapshot for hold in holds.holds([sides.source])} == {str(one)}
    holds.release("suite", [str(one), f"{child}@one"], all_of=[str(one)])
    assert [hold.tag for hold in holds.holds([sides.source, child])] == ["mine"]


def holding_and_releasing_twice_is_doing_it_once(sides: Sides) -> None:
    one = sides.grown("one")
    names = [str(one), f"{sides.source}@none", f"{sides.source}/none@one"]
    holds = ZfsHolds(sides.site)
    for _ in (1, 2):
        holds.hold("suite", names)
        assert [hold.snapshot for hold in holds.holds([sides.source])] == [str(one)]
    for _ in (1, 2):
        holds.release("suite", names, all_of=names)
        assert holds.holds([sides.source]) == ()


def zfs_remembers_for_which_pools_there_may_be_holds(sides: Sides) -> None:
    one, holds = sides.grown("one"), ZfsHolds(sides.site)

    def known() -> tuple[str, ...]:
        return sides.of_source().held_for

    assert known() == ()
    holds.hold("suite", [str(one)])
    holds.hold("other", [str(one)])
    holds.hold("suite", [str(one)])
    assert known() == ("suite", "other")
    holds.release("suite", [], all_of=())
    assert known() == ("suite", "other")
    holds.release("suite", [str(one)], all_of=[str(one)])
    assert known() == ("other",)
    holds.release("other", [str(one)], all_of=[sides.source])
    assert known() == ()
    holds.release("other", [], all_of=[sides.source])
    assert known() == ()


def who_keeps_a_snapshot_is_told(sides: Sides) -> None:
    one, name = sides.grown("one"), f"{sides.source}@one"
    assert busy_snapshot(sides.site, name) == f"Nothing holds {name} now and it has no clones: try again."
    sides.hands.clone(name, f"{sides.source}/clone")
    refusal = CommandFailed(sides.site.name, ("zfs", "destroy"), 1, sides.hands.destroy_in_vain(name))
    assert with_keepers(sides.site, refusal, name).hint == f"{one} is the origin of {sides.source}/clone."
    sides.hands.hold("mine", name)
    refusal = CommandFailed(sides.site.name, ("zfs", "destroy"), 1, sides.hands.destroy_in_vain(name))
    told = with_keepers(sides.site, refusal, name)
    assert re.search(f"{one} is held by `mine` since .* 20.. and the origin of {sides.source}/clone", told.hint), told
    assert refusal.stderr in f"{told.stderr}"


def a_copy_is_received_into_while_its_base_is_held(sides: Sides) -> None:
    one = sides.grown("one")
    sides.send(Full(sides.replica, one))
    ZfsHolds(sides.site).hold("suite", [str(one)])
    ZfsHolds(sides.receiver).hold("suite", [f"{sides.target}@one"])
    two = sides.grown("two", 16)
    token = sides.lose(Incremental(sides.replica, one, two), 8)
    sides.send(Resume(sides.replica, one, two, token))
    assert sides.copied() == [("one", one.guid), ("two", two.guid)]
    for host, name in ((sides.site, str(one)), (sides.receiver, f"{sides.target}@one")):
        ZfsHolds(host).release("suite", [name], all_of=[name])


HOLD_CASES: tuple[Callable[[Sides], None], ...] = (
    a_held_snapshot_is_not_destroyed,
    holds_are_told_with_tag_and_time,
    holding_and_releasing_twice_is_doing_it_once,
    zfs_remembers_for_which_pools_there_may_be_holds,
    who_keeps_a_snapshot_is_told,
    a_copy_is_received_into_while_its_base_is_held,
)
