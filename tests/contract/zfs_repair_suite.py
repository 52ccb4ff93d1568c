"""What `zfs` must do when a copy is rolled back, set aside or follows its source: cases of zfs_suite.py, for real
OpenZFS and for the tests' memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.contract.zfs_sides import Sides

from ec2zfs.errors import CommandFailed
from ec2zfs.plan.replication_steps import Full, Incremental
from ec2zfs.tools import zfs_repair
from ec2zfs.tools.zfs import Zfs
from ec2zfs.tools.zfs_identity import forget, identities


def a_copy_is_rolled_back_past_what_was_destroyed_by_name(sides: Sides) -> None:
    one = sides.grown("one")
    sides.send(Full(sides.replica, one))
    for name in ("first stray", "stray"):
        sides.hands.write_to(sides.target)
        sides.hands.meddle(f"{sides.target}@{name}")
    sides.hands.write_to(sides.target)
    copy = sides.copy()
    assert copy
    kept, *doomed = copy.snapshots
    freed = zfs_repair.reclaimed(sides.receiver, doomed)
    assert freed is not None
    assert freed > 0
    with pytest.raises(CommandFailed, match="more recent snapshots"):
        zfs_repair.roll_back(sides.receiver, kept)
    zfs_repair.destroy(sides.receiver, doomed)
    zfs_repair.roll_back(sides.receiver, kept)
    copy = sides.copy()
    assert copy
    assert (copy.written, sides.copied()) == (0, [("one", one.guid)])
    sides.send(Incremental(sides.replica, one, sides.grown("two")))


def destroying_by_name_is_all_or_nothing(sides: Sides) -> None:
    one, two = sides.grown("one"), sides.grown("two")
    sides.send(Full(sides.replica, one))
    sides.send(Incremental(sides.replica, one, two))
    copy = sides.copy()
    assert copy
    gone = copy.snapshots[0]._replace(name="gone")
    assert zfs_repair.reclaimed(sides.receiver, [gone]) is None
    with pytest.raises(CommandFailed, match="could not find any snapshots to destroy"):
        zfs_repair.destroy(sides.receiver, [gone])
    assert sides.copied() == [("one", one.guid), ("two", two.guid)]


def a_copy_that_was_renamed_is_the_same_and_goes_on(sides: Sides) -> None:
    one = sides.grown("one")
    sides.send(Full(sides.replica, one))
    before = sides.copy()
    assert before
    elsewhere = f"{sides.target}-set-aside"
    zfs_repair.rename(sides.receiver, sides.target, elsewhere)
    assert sides.copy() is None
    after = Zfs(sides.receiver).dataset(elsewhere)
    assert after
    assert (after.guid, after.snapshots[0].guid) == (before.guid, one.guid)
    with pytest.raises(CommandFailed, match="dataset does not exist"):
        zfs_repair.rename(sides.receiver, sides.target, f"{sides.target}-again")
    zfs_repair.rename(sides.receiver, elsewhere, sides.target)
    sides.send(Incremental(sides.replica, one, sides.grown("two")))


def a_copy_bears_the_guid_of_its_source_until_that_is_forgotten(sides: Sides) -> None:
    one, pool = sides.grown("one"), sides.target.partition("/")[0]
    sides.send(Full(replace(sides.replica, identity=4711), one))
    assert identities(sides.receiver, pool)[sides.target] == 4711
    zfs_repair.rename(sides.receiver, sides.target, f"{sides.target}-elsewhere")
    known = identities(sides.receiver, pool)
    assert (known.get(sides.target), known[f"{sides.target}-elsewhere"]) == (None, 4711)
    zfs_repair.rename(sides.receiver, f"{sides.target}-elsewhere", sides.target)
    forget(sides.receiver, sides.target)
    assert sides.target not in identities(sides.receiver, pool)


REPAIR_CASES: tuple[Callable[[Sides], None], ...] = (
    a_copy_is_rolled_back_past_what_was_destroyed_by_name,
    destroying_by_name_is_all_or_nothing,
    a_copy_that_was_renamed_is_the_same_and_goes_on,
    a_copy_bears_the_guid_of_its_source_until_that_is_forgotten,
)
