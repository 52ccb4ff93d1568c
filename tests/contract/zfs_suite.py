"""What `zfs` on two hosts must do when replication asks it: the cases, for real OpenZFS and for the tests' memory.

    @pytest.mark.parametrize("case", CASES, ids=named)
    def test_zfs(case: Case, sides: Sides) -> None:
        case(sides)

A case speaks through `tools/` and a `Transport` alone; what people and accidents do, `Hands` do.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.contract.zfs_copies_suite import COPIES_CASES
from tests.contract.zfs_hold_suite import HOLD_CASES
from tests.contract.zfs_look_suite import LOOK_CASES
from tests.contract.zfs_property_suite import PROPERTY_CASES
from tests.contract.zfs_pruning_suite import PRUNING_CASES
from tests.contract.zfs_repair_suite import REPAIR_CASES
from tests.contract.zfs_sides import MIB, Sides

from ec2zfs.errors import CommandFailed, NoSpace, ReplicationConflict
from ec2zfs.model.snapshot import Bookmark, DatasetKind, ResumeToken
from ec2zfs.plan.replication_steps import Full, Incremental, Mark, Resume
from ec2zfs.plan.zfs_gate import parse_version
from ec2zfs.tools.zfs import Zfs, missing_datasets
from ec2zfs.tools.zfs_look import look
from ec2zfs.tools.zfs_streams import sizes

OURS = {"ec2zfs:run": "2026-11-23T02:17:00Z", "ec2zfs:period": "daily"}

Case = Callable[[Sides], None]


# Looking


def datasets_are_told_with_their_histories(sides: Sides) -> None:
    child = f"{sides.source}/child"
    sides.hands.create(child)
    for snapshot in (f"{sides.source}@one", f"{child}@one", f"{sides.source}@two"):
        sides.hands.snapshot(snapshot, 1)
    parent, below = Zfs(sides.site).datasets((sides.source,), recursive=True)
    assert (parent.name, below.name) == (sides.source, child)
    assert [snapshot.name for snapshot in parent.snapshots] == ["one", "two"]
    assert [snapshot.name for snapshot in below.snapshots] == ["one"]
    first, second = parent.snapshots
    assert first.createtxg < second.createtxg
    assert len({parent.guid, below.guid, first.guid, second.guid}) == 4
    assert (parent.kind, parent.encrypted, parent.bookmarks) == (DatasetKind.FILESYSTEM, False, ())
    assert parent.partial is None
    assert Zfs(sides.site).datasets((sides.source,), recursive=False) == (parent,)
    assert {sides.source, child} <= {*Zfs(sides.site).names()}


def what_does_not_exist_is_named(sides: Sides) -> None:
    none, gone = f"{sides.source}/none", f"{sides.source}/long gone"
    assert Zfs(sides.site).dataset(none) is None
    for names, missing in (((sides.source, none, gone), (none, gone)), (("nowhere",), ("nowhere",))):
        for recursive in (True, False):
            with pytest.raises(CommandFailed) as caught:
                Zfs(sides.site).datasets(names, recursive=recursive)
            assert missing_datasets(caught.value) == missing


def guids_are_told_of_what_exists(sides: Sides) -> None:
    one = sides.grown("one")
    asked = (sides.source, str(one), f"{sides.source}@none", f"{sides.source}/none")
    assert Zfs(sides.site).guids(asked) == {sides.source: sides.of_source().guid, str(one): one.guid}


def the_version_of_the_kernel_modules_is_told(sides: Sides) -> None:
    for host in (sides.site, sides.receiver):
        version = parse_version(look(host, []).version)
        assert version
        assert version >= (2, 2, 8)


# Small changes


def a_tree_is_taken_whole_or_not_at_all(sides: Sides) -> None:
    child = f"{sides.source}/child"
    sides.hands.create(child)
    zfs = Zfs(sides.site)
    zfs.snapshot([f"{sides.source}@one", f"{child}@one"], OURS)
    parent, below = zfs.datasets((sides.source,), recursive=True)
    assert [len(each.snapshots) for each in (parent, below)] == [1, 1]
    assert parent.snapshots[0].createtxg == below.snapshots[0].createtxg
    sides.hands.snapshot(f"{child}@two", 1)
    with pytest.raises(CommandFailed, match="dataset already exists"):
        zfs.snapshot([f"{sides.source}@two", f"{child}@two"], OURS)
    assert zfs.datasets((sides.source,), recursive=True)[0] == parent


def a_cursor_is_moved_and_moving_it_twice_is_moving_it_once(sides: Sides) -> None:
    one, two = sides.grown("one"), sides.grown("two")
    steps = (Mark(one, "ec2zfs_suite_1"), Mark(two, "ec2zfs_suite_2", ("ec2zfs_suite_1",)), Mark(two, "ec2zfs_suite_2"))
    for step in steps:
        assert Zfs(sides.site).mark_all([step]) == {}
    assert sides.of_source().bookmarks == (Bookmark(sides.source, "ec2zfs_suite_2", two.guid, two.createtxg),)


def cursors_are_moved_together_and_one_that_cannot_be_keeps_no_other_from_it(sides: Sides) -> None:
    one, two = sides.grown("one"), sides.grown("two")
    gone = two._replace(name="gone")
    marks = [
        Mark(gone, "ec2zfs_suite_0"),
        Mark(one, "ec2zfs_suite_1", ("ec2zfs_suite_none",)),
        Mark(two, "ec2zfs_suite_2"),
    ]
    failed = Zfs(sides.site).mark_all(marks)
    assert list(failed) == [str(gone)]
    assert "does not exist" in failed[str(gone)]
    assert [each.name for each in sides.of_source().bookmarks] == ["ec2zfs_suite_1", "ec2zfs_suite_2"]
    assert Zfs(sides.site).mark_all([]) == {}


def bookmarks_tell_when_their_snapshots_were_taken(sides: Sides) -> None:
    one = sides.grown("one")
    Zfs(sides.site).mark_all([Mark(one, "ec2zfs_suite_1")])
    sides.hands.destroy(str(one))
    cursor, none = f"{sides.source}#ec2zfs_suite_1", f"{sides.source}#none"
    found = Zfs(sides.site).creations([cursor, none])
    assert list(found) == [cursor]
    assert found[cursor].year >= 2025
    assert Zfs(sides.site).creations([]) == {}


def a_parent_is_made_once(sides: Sides) -> None:
    zfs = Zfs(sides.receiver)
    zfs.create_parent(sides.target)
    made = sides.copy()
    assert made
    assert (made.kind, made.snapshots, made.partial) == (DatasetKind.FILESYSTEM, (), None)
    with pytest.raises(CommandFailed, match="dataset already exists"):
        zfs.create_parent(sides.target)


# Streams


def a_full_stream_makes_the_same_snapshot(sides: Sides) -> None:
    one = sides.grown("one", 4)
    stream = Full(sides.replica, one)
    (size,) = sizes(sides.site, [stream])
    assert size is not None
    assert abs(sides.send(stream) - size) < MIB
    copy = sides.copy()
    assert copy
    assert (copy.kind, copy.encrypted, copy.written, copy.partial) == (DatasetKind.FILESYSTEM, False, 0, None)
    assert copy.send == "-L -e -c"
    assert sides.copied() == [("one", one.guid)]


def an_increment_is_what_changed_since_a_snapshot_or_a_bookmark(sides: Sides) -> None:
    one = sides.grown("one", 8)
    sides.send(Full(sides.replica, one))
    two = sides.grown("two")
    assert sides.send(Incremental(sides.replica, one, two)) < 2 * MIB
    Zfs(sides.site).mark_all([Mark(two, "ec2zfs_suite_1")])
    sides.hands.destroy(str(two))
    (cursor,) = sides.of_source().bookmarks
    three = sides.grown("three")
    stream = Incremental(sides.replica, cursor, three)
    (size,) = sizes(sides.site, [stream])
    assert size is not None
    assert abs(sides.send(stream) - size) < MIB
    assert sides.copied() == [("one", one.guid), ("two", two.guid), ("three", three.guid)]


def sizes_are_told_of_the_streams_that_can_be_sent(sides: Sides) -> None:
    one, two = sides.grown("one", 4), sides.grown("two", 2)
    sides.hands.destroy(str(one))
    replica = sides.replica
    lost, whole, unbased = sizes(sides.site, [Full(replica, one), Full(replica, two), Incremental(replica, one, two)])
    assert (lost, unbased) == (None, None)
    assert whole is not None
    assert 6 * MIB <= whole < 7 * MIB


def a_copy_keeps_the_flags_of_its_first_stream(sides: Sides) -> None:
    one = sides.grown("one", 16)
    sides.send(Resume(sides.replica, None, one, sides.lose(Full(sides.replica, one), 8)))
    sides.send(Incremental(sides.replica, one, sides.grown("two")))
    copy = sides.copy()
    assert copy
    assert copy.send == "-L -e -c"


def a_broken_stream_leaves_a_token_and_goes_on_from_there(sides: Sides) -> None:
    one = sides.grown("one", 16)
    require_resumed(sides, Full(sides.replica, one))
    two = sides.grown("two", 16)
    require_resumed(sides, Incremental(sides.replica, one, two))
    assert sides.copied() == [("one", one.guid), ("two", two.guid)]


def require_resumed(sides: Sides, stream: Full | Incremental) -> None:
    """Broken off half way, the stream is told by its token, and its rest makes the snapshot."""
    before = sides.copied()
    token = sides.lose(stream, 8)
    base = stream.base.guid if stream.base else 0
    assert token == ResumeToken(token.text, stream.to.guid, str(stream.to), base)
    assert Zfs(sides.receiver).resume_token(sides.target) == token.text
    assert sides.copied() == before
    rest = Resume(sides.replica, stream.base, stream.to, token)
    (size,) = sizes(sides.site, [rest])
    assert size is not None
    sent = sides.send(rest)
    assert abs(sent - size) < MIB
    assert 0 < sent < 15 * MIB
    assert sides.partial() is None
    assert sides.copied() == [*before, (stream.to.name, stream.to.guid)]


def a_token_is_of_no_use_when_its_snapshot_is_gone_or_another(sides: Sides) -> None:
    one = sides.grown("one", 16)
    token = sides.lose(Full(sides.replica, one), 8)
    rest = Resume(sides.replica, None, one, token)
    sides.hands.destroy(str(one))
    gone = sides.refused(rest)
    assert "no longer exists" in gone.stderr
    assert sizes(sides.site, [rest]) == (None,)
    sides.grown("one")
    assert "no longer the same snapshot" in sides.refused(rest).stderr
    assert gone.host == sides.site.name
    assert sides.partial() == token


def a_token_is_of_no_use_when_its_base_is_gone(sides: Sides) -> None:
    one = sides.grown("one")
    sides.send(Full(sides.replica, one))
    two = sides.grown("two", 16)
    token = sides.lose(Incremental(sides.replica, one, two), 8)
    sides.hands.destroy(str(one))
    assert "no longer exists" in sides.refused(Resume(sides.replica, one, two, token)).stderr


# What is dropped


def dropping_a_first_copys_part_leaves_nothing(sides: Sides) -> None:
    one = sides.grown("one", 16)
    sides.lose(Full(sides.replica, one), 8)
    Zfs(sides.receiver).drop_partial(sides.target)
    assert sides.copy() is None
    sides.send(Full(sides.replica, one))
    assert sides.copied() == [("one", one.guid)]


def dropping_an_increments_part_leaves_what_was_whole(sides: Sides) -> None:
    one = sides.grown("one")
    sides.send(Full(sides.replica, one))
    two = sides.grown("two", 16)
    sides.lose(Incremental(sides.replica, one, two), 8)
    Zfs(sides.receiver).drop_partial(sides.target)
    assert (sides.partial(), sides.copied()) == (None, [("one", one.guid)])
    with pytest.raises(CommandFailed, match="does not have any resumable receive state to abort"):
        Zfs(sides.receiver).drop_partial(sides.target)
    sides.send(Incremental(sides.replica, one, two))
    assert sides.copied() == [("one", one.guid), ("two", two.guid)]


# What is refused


def a_copy_that_stands_takes_no_full_stream(sides: Sides) -> None:
    one = sides.grown("one")
    sides.send(Full(sides.replica, one))
    two = sides.grown("two")
    failure = sides.refused(Full(sides.replica, two))
    assert (failure.host, type(sides.means(failure))) == (sides.receiver.name, ReplicationConflict)
    assert sides.copied() == [("one", one.guid)]


def a_copy_without_the_base_takes_no_increment(sides: Sides) -> None:
    one, two, three = (sides.grown(name) for name in ("one", "two", "three"))
    sides.send(Full(sides.replica, two))
    failure = sides.refused(Incremental(sides.replica, one, three))
    assert "does not\nmatch incremental source" in failure.stderr
    assert isinstance(sides.means(failure), ReplicationConflict)
    assert sides.copied() == [("two", two.guid)]


def a_snapshot_of_the_copys_own_is_in_the_way_only_with_changes(sides: Sides) -> None:
    one = sides.grown("one")
    sides.send(Full(sides.replica, one))
    sides.hands.meddle(f"{sides.target}@theirs")
    two = sides.grown("two")
    sides.send(Incremental(sides.replica, one, two))
    assert [name for name, _ in sides.copied()] == ["one", "theirs", "two"]
    sides.hands.write_to(sides.target)
    sides.hands.meddle(f"{sides.target}@changed")
    failure = sides.refused(Incremental(sides.replica, two, sides.grown("three")))
    assert "has been modified\nsince most recent snapshot" in failure.stderr


def a_copy_that_was_written_to_takes_no_increment(sides: Sides) -> None:
    one = sides.grown("one")
    sides.send(Full(sides.replica, one))
    sides.hands.write_to(sides.target)
    copy = sides.copy()
    assert copy
    assert copy.written > 0
    failure = sides.refused(Incremental(sides.replica, one, sides.grown("two")))
    assert "has been modified\nsince most recent snapshot" in failure.stderr
    assert isinstance(sides.means(failure), ReplicationConflict)


def an_increment_needs_a_copy(sides: Sides) -> None:
    one, two = sides.grown("one"), sides.grown("two")
    failure = sides.refused(Incremental(sides.replica, one, two))
    assert f"destination '{sides.target}' does not exist" in failure.stderr
    assert sides.means(failure) is failure
    assert sides.copy() is None


def a_part_that_waits_for_its_rest_takes_no_other_stream(sides: Sides) -> None:
    one = sides.grown("one", 16)
    token = sides.lose(Full(sides.replica, one), 8)
    two = sides.grown("two", 16)
    require_partial(sides.refused(Incremental(sides.replica, one, two)))
    assert "must specify -F" in sides.refused(Full(sides.replica, one)).stderr
    assert sides.partial() == token
    sides.send(Resume(sides.replica, None, one, token))
    token = sides.lose(Incremental(sides.replica, one, two), 8)
    require_partial(sides.refused(Incremental(sides.replica, one, two)))
    require_partial(sides.refused(Incremental(sides.replica, one, sides.grown("three"))))
    assert "must specify -F" in sides.refused(Full(sides.replica, two)).stderr
    assert sides.partial() == token


def what_is_being_received_is_left_alone(sides: Sides) -> None:
    one = sides.grown("one", 16)
    meet_under_way(sides, Full(sides.replica, one))
    two = sides.grown("two", 16)
    meet_under_way(sides, Incremental(sides.replica, one, two))
    assert sides.copied() == [("one", one.guid), ("two", two.guid)]


def meet_under_way(sides: Sides, stream: Full | Incremental) -> None:
    """While a stream comes in, try to continue and to drop what came in so far."""
    met = list[ResumeToken]()

    def meanwhile(_amount: int) -> None:
        token = None if met else sides.partial()
        if token:
            met.append(token)
            require_partial(sides.refused(Resume(sides.replica, stream.base, stream.to, token)))
            with pytest.raises(CommandFailed, match="dataset is busy"):
                Zfs(sides.receiver).drop_partial(sides.target)

    sides.carry(stream, meanwhile)
    assert met


def require_partial(failure: CommandFailed) -> None:
    """The one failure there was is that a part waits for its rest, in OpenZFS's words."""
    assert 'contains partially-complete state from "zfs receive -s"' in failure.stderr, failure.stderr


def a_receiver_that_fills_up_keeps_what_arrived(sides: Sides) -> None:
    one = sides.grown("one", 24)
    sides.hands.leave_room(12)
    try:
        above = sides.target.rpartition("/")[0]
        assert look(sides.receiver, [above]).available[above] <= 12 * MIB
        failure = sides.refused(Full(sides.replica, one))
    finally:
        sides.hands.leave_room(None)
    assert isinstance(sides.means(failure), NoSpace)
    token = sides.partial()
    assert token
    assert sides.send(Resume(sides.replica, None, one, token)) < 20 * MIB
    assert sides.copied() == [("one", one.guid)]


CASES: tuple[Case, ...] = (
    *HOLD_CASES,
    *LOOK_CASES,
    *PRUNING_CASES,
    *REPAIR_CASES,
    *PROPERTY_CASES,
    *COPIES_CASES,
    datasets_are_told_with_their_histories,
    what_does_not_exist_is_named,
    guids_are_told_of_what_exists,
    the_version_of_the_kernel_modules_is_told,
    a_tree_is_taken_whole_or_not_at_all,
    a_cursor_is_moved_and_moving_it_twice_is_moving_it_once,
    cursors_are_moved_together_and_one_that_cannot_be_keeps_no_other_from_it,
    bookmarks_tell_when_their_snapshots_were_taken,
    a_parent_is_made_once,
    a_full_stream_makes_the_same_snapshot,
    an_increment_is_what_changed_since_a_snapshot_or_a_bookmark,
    sizes_are_told_of_the_streams_that_can_be_sent,
    a_copy_keeps_the_flags_of_its_first_stream,
    a_broken_stream_leaves_a_token_and_goes_on_from_there,
    a_token_is_of_no_use_when_its_snapshot_is_gone_or_another,
    a_token_is_of_no_use_when_its_base_is_gone,
    dropping_a_first_copys_part_leaves_nothing,
    dropping_an_increments_part_leaves_what_was_whole,
    a_copy_that_stands_takes_no_full_stream,
    a_copy_without_the_base_takes_no_increment,
    a_snapshot_of_the_copys_own_is_in_the_way_only_with_changes,
    a_copy_that_was_written_to_takes_no_increment,
    an_increment_needs_a_copy,
    a_part_that_waits_for_its_rest_takes_no_other_stream,
    what_is_being_received_is_left_alone,
    a_receiver_that_fills_up_keeps_what_arrived,
)


def named(case: Case) -> str:
    """The case's name, for pytest."""
    return case.__name__
