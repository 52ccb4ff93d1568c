"""What `zfs` must do when copies are marked, and when they change places: cases of zfs_suite.py, for real OpenZFS and
for the tests' memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.contract.zfs_sides import Sides

from ec2zfs.errors import CommandFailed
from ec2zfs.model.replication import Replica
from ec2zfs.model.snapshot import Snapshot
from ec2zfs.plan.replication_steps import Full, Identify, Incremental
from ec2zfs.tools import zfs_repair
from ec2zfs.tools.zfs import Zfs
from ec2zfs.tools.zfs_identity import identify, identities


def grown(sides: Sides, dataset: str, name: str) -> Snapshot:
    """A new snapshot of any dataset at the site."""
    sides.hands.snapshot(f"{dataset}@{name}", 1)
    found = Zfs(sides.site).dataset(dataset)
    assert found
    return found.snapshots[-1]


def copied(sides: Sides, below: str) -> tuple[Replica, Snapshot]:
    """A dataset below the source, made and copied to below the target under the same name, and its snapshot."""
    replica = Replica(f"{sides.source}/{below}", f"{sides.target}/{below}")
    sides.hands.create(replica.source)
    snapshot = grown(sides, replica.source, "one")
    sides.send(Full(replica, snapshot))
    return replica, snapshot


def copies_change_places_with_all_below_them(sides: Sides) -> None:
    sides.send(Full(sides.replica, sides.grown("one")))
    (a, of_a), (deep, of_deep), (b, of_b) = (copied(sides, below) for below in ("a", "a/deep", "b"))
    pool = sides.target.partition("/")[0]
    aside = {each: f"{pool}/ec2zfs-moving-{number:016x}" for number, each in enumerate((a, b), start=of_a.guid >> 8)}
    zfs_repair.rename(sides.receiver, a.target, aside[a])
    with pytest.raises(CommandFailed, match="dataset already exists"):
        zfs_repair.rename(sides.receiver, aside[a], b.target)
    zfs_repair.rename(sides.receiver, b.target, aside[b])
    zfs_repair.rename(sides.receiver, aside[b], a.target)
    zfs_repair.rename(sides.receiver, aside[a], b.target)
    wanted = {f"{a.target}@one": of_b.guid, f"{b.target}@one": of_a.guid, f"{b.target}/deep@one": of_deep.guid}
    assert Zfs(sides.receiver).guids((*wanted, f"{deep.target}@one", *aside.values())) == wanted
    sides.send(Incremental(replace(a, target=b.target), of_a, grown(sides, a.source, "two")))
    sides.send(Incremental(replace(deep, target=f"{b.target}/deep"), of_deep, grown(sides, deep.source, "two")))


def copies_are_marked_together_and_one_that_is_gone_keeps_no_other_from_it(sides: Sides) -> None:
    sides.send(Full(sides.replica, sides.grown("one")))
    (a, _), (b, _) = (copied(sides, below) for below in ("a", "b"))
    pool, largest = sides.target.partition("/")[0], (1 << 64) - 1
    identify(sides.receiver, ())
    identify(sides.receiver, (Identify(sides.target, 4711),))
    assert {name: guid for name, guid in identities(sides.receiver, pool).items() if name.startswith(sides.target)} == {
        sides.target: 4711
    }
    with pytest.raises(CommandFailed, match="does not exist"):
        identify(
            sides.receiver, (Identify(a.target, 1), Identify(f"{sides.target}/gone", 2), Identify(b.target, largest))
        )
    known = identities(sides.receiver, pool)
    assert (known[a.target], known[b.target], known[sides.target]) == (1, largest, 4711)


COPIES_CASES: tuple[Callable[[Sides], None], ...] = (
    copies_change_places_with_all_below_them,
    copies_are_marked_together_and_one_that_is_gone_keeps_no_other_from_it,
)
