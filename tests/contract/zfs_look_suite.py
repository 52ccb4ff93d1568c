"""What one look at datasets must tell, and when a list of snapshots counts as changed: cases of zfs_suite.py, for real
OpenZFS and for the tests' memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from tests.contract.zfs_sides import Sides

from ec2zfs.errors import CommandFailed
from ec2zfs.model.sighting import Sighting
from ec2zfs.model.snapshot import Dataset, DatasetKind
from ec2zfs.plan.replication_steps import Full, Identify, Incremental, KeepProperties, Mark
from ec2zfs.plan.settled import SETTLED
from ec2zfs.plan.zfs_gate import parse_version
from ec2zfs.tools import zfs_look, zfs_properties
from ec2zfs.tools.zfs import Zfs, missing_datasets
from ec2zfs.tools.zfs_holds import ZfsHolds
from ec2zfs.tools.zfs_identity import identify
from ec2zfs.tools.zfs_look import FRESH_SECONDS, histories, look, noted

NOTE = "1 a note: of  words"


def settled_down(sides: Sides, name: str, *, at_site: bool) -> Sighting:
    """A dataset once its list of snapshots has not changed for long enough to be told."""
    host = sides.site if at_site else sides.receiver
    for _ in range(2 * FRESH_SECONDS):
        seen = look(host, [name], recursive=False).sightings[name]
        if seen.changed:
            return seen
        time.sleep(1)
    raise AssertionError(f"{name} never settled down")


def a_look_tells_what_datasets_are(sides: Sides) -> None:
    child, sealed = f"{sides.source}/child", f"{sides.source}/sealed"
    sides.hands.create(child)
    sides.hands.create(sealed, sealed=True)
    sides.hands.assign("compression=zstd", sides.source)
    sides.hands.assign("mountpoint=none", sides.source)
    seen = look(sides.site, [sides.source])
    assert (parse_version(seen.version) or ()) >= (2, 0)
    assert seen.sightings.keys() == {sides.source, child, sealed}
    assert seen.available[sides.source] > 1 << 20
    for name, each in seen.sightings.items():
        known = Zfs(sides.site).dataset(name)
        assert known
        assert (each.dataset.name, each.dataset.guid, each.dataset.kind) == (name, known.guid, DatasetKind.FILESYSTEM)
        assert each.dataset.encrypted is known.encrypted is (name == sealed)
        assert (each.changed, each.identity, each.note) == (0, 0, "")
    assert {("compression", "local zstd"), ("mountpoint", "local none")} <= {*seen.sightings[sides.source].settings}
    assert "compression" not in dict(seen.sightings[child].settings)
    assert look(sides.site, [sides.source], recursive=False).sightings.keys() == {sides.source}
    assert look(sides.site, []).sightings == {}


def a_look_leaves_out_what_this_zfs_does_not_know(sides: Sides) -> None:
    sides.hands.assign("compression=zstd", sides.source)
    known = look(sides.site, [sides.source]).sightings[sides.source]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zfs_look, "ASKED", f"unheardof,{zfs_look.ASKED},last")
        seen = look(sides.site, [sides.source]).sightings[sides.source]
    assert (seen.dataset, seen.settings) == (known.dataset, known.settings)


def a_look_names_what_does_not_exist(sides: Sides) -> None:
    none = f"{sides.source}/none"
    for names, missing in (([sides.source, none], (none,)), (["nowhere"], ("nowhere",))):
        with pytest.raises(CommandFailed) as caught:
            look(sides.site, names)
        assert missing_datasets(caught.value) == missing
    with pytest.raises(CommandFailed) as caught:
        noted(sides.site, "nowhere")
    assert missing_datasets(caught.value) == ("nowhere",)


def a_look_tells_that_something_may_be_held(sides: Sides) -> None:
    one = sides.grown("one")
    ZfsHolds(sides.site).hold("cloud", [str(one)])
    assert "cloud" in look(sides.site, [sides.source]).sightings[sides.source].dataset.held_for
    ZfsHolds(sides.site).release("cloud", [str(one)], all_of=[str(one)])


def a_list_changes_with_its_snapshots_alone(sides: Sides) -> None:
    sides.grown("one")
    first = settled_down(sides, sides.source, at_site=True)
    (one,) = sides.of_source().snapshots
    Zfs(sides.site).mark_all([Mark(one, "ec2zfs_suite_1")])
    ZfsHolds(sides.site).hold("cloud", [str(one)])
    ZfsHolds(sides.site).release("cloud", [str(one)], all_of=[str(one)])
    sides.hands.assign("compression=zstd", sides.source)
    sides.hands.create(f"{sides.source}/child")
    assert settled_down(sides, sides.source, at_site=True).changed == first.changed
    sides.grown("two")
    second = settled_down(sides, sides.source, at_site=True)
    sides.hands.destroy(str(one))
    third = settled_down(sides, sides.source, at_site=True)
    assert first.changed < second.changed < third.changed


def a_copys_list_changes_when_it_receives(sides: Sides) -> None:
    one = sides.grown("one")
    sides.send(Full(sides.replica, one))
    first = settled_down(sides, sides.target, at_site=False)
    sides.send(Incremental(sides.replica, one, sides.grown("two")))
    second = settled_down(sides, sides.target, at_site=False)
    sides.hands.meddle(f"{sides.target}@theirs")
    third = settled_down(sides, sides.target, at_site=False)
    assert 0 < first.changed < second.changed < third.changed


def what_is_noted_on_a_copy_is_told_and_changes_no_list(sides: Sides) -> None:
    sides.send(Full(sides.replica, sides.grown("one")))
    identify(sides.receiver, (Identify(sides.target, 4711),))
    before = settled_down(sides, sides.target, at_site=False)
    assert noted(sides.receiver, sides.target) == ""
    assert zfs_properties.keep(sides.receiver, [KeepProperties(sides.target, ((SETTLED, NOTE),))]) == []
    assert noted(sides.receiver, sides.target) == NOTE
    after = look(sides.receiver, [sides.target]).sightings[sides.target]
    assert (after.note, after.identity, after.changed) == (NOTE, 4711, before.changed)
    assert after.settings == before.settings
    assert after.dataset.send == "-L -e -c"
    sides.hands.write_to(sides.target)
    assert look(sides.receiver, [sides.target]).sightings[sides.target].dataset.written > 0


def histories_are_listed_of_those_that_are_asked_for(sides: Sides) -> None:
    child = f"{sides.source}/child"
    sides.hands.create(child)
    for snapshot in (f"{sides.source}@one", f"{child}@one", f"{sides.source}@two"):
        sides.hands.snapshot(snapshot, 1)
    Zfs(sides.site).mark_all([Mark(sides.of_source().snapshots[0], "ec2zfs_suite_1")])
    bare = [each.dataset for each in look(sides.site, [sides.source]).sightings.values()]
    assert histories(sides.site, bare) == Zfs(sides.site).datasets((sides.source,), recursive=True)
    gone = Dataset(f"{sides.source}/gone", 1, encrypted=False)
    assert histories(sides.site, [bare[1], gone]) == (Zfs(sides.site).dataset(child), gone)


LOOK_CASES: tuple[Callable[[Sides], None], ...] = (
    a_look_tells_what_datasets_are,
    a_look_leaves_out_what_this_zfs_does_not_know,
    a_look_names_what_does_not_exist,
    a_look_tells_that_something_may_be_held,
    a_list_changes_with_its_snapshots_alone,
    a_copys_list_changes_when_it_receives,
    what_is_noted_on_a_copy_is_told_and_changes_no_list,
    histories_are_listed_of_those_that_are_asked_for,
)
