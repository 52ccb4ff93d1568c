"""Random trees and edits, with diffs that are whole, miss entries, or lie: the staged copy follows its source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.small_tree import SmallTree, diff

from ec2zfs.model.tree import Child, Difference, DifferenceKind, FileKind, below, parent
from ec2zfs.plan.tree_changes import (
    Describe,
    Link,
    Make,
    Place,
    Remove,
    Renew,
    Step,
    StepAside,
    Stray,
    changes,
)
from ec2zfs.plan.tree_comparison import compared
from ec2zfs.plan.tree_hints import Hints

ASIDE = b".aside"
KINDS = (FileKind.FILE, FileKind.FILE, FileKind.DIRECTORY, FileKind.DIRECTORY, FileKind.LINK, FileKind.FIFO)
Edit = tuple[int, int, int]
EDITS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=14)


def edit(tree: SmallTree, edits: Sequence[Edit]) -> None:
    for operation, one, other in edits:
        paths = sorted(path for paths in tree.paths().values() for path in paths if path)
        directories = [path for path in (b"", *paths) if tree.children(path) is not None]
        place = below(directories[other % len(directories)], b"n%d" % (one % 5))
        path = paths[one % len(paths)] if paths else b""
        if operation < 4 and tree.inode(place) is None:
            kind = KINDS[(one + other) % len(KINDS)]
            tree.make(place, kind, b"" if kind is FileKind.DIRECTORY else b"%d" % tree.clock)
        elif path:
            _change(tree, operation, path, place, paths[other % len(paths)])


def _change(tree: SmallTree, operation: int, path: bytes, place: bytes, second: bytes) -> None:
    directory = tree.children(path) is not None
    inside = place.startswith(path + b"/")
    if operation == 4:
        tree.remove(path)
    elif operation == 5 and tree.inode(place) is None and not inside:
        tree.rename(path, place)
    elif operation == 6 and tree.inode(place) is None and not directory:
        tree.link(path, place)
    elif operation == 7:
        tree.chmod(path, tree.clock)
    elif operation == 8 and not directory:
        tree.write(path, b"%d" % tree.clock)
    elif operation == 9:
        exchange(tree, path, second)


def exchange(tree: SmallTree, one: bytes, other: bytes) -> None:
    if one != other and not (one + b"/").startswith(other + b"/") and not (other + b"/").startswith(one + b"/"):
        tree.rename(one, below(b"", b"exchanged"))
        tree.rename(other, one)
        tree.rename(b"exchanged", other)


def staged(old: SmallTree, new: SmallTree, steps: Sequence[Step]) -> SmallTree:
    """The old tree's copy after the steps; asserts that none of them does what a file system refuses."""
    copy = old.copy()
    copy.make(ASIDE, FileKind.DIRECTORY)
    for step in steps:
        _do(copy, new, step)
    copy.remove(ASIDE)
    return copy


def _do(copy: SmallTree, new: SmallTree, step: Step) -> None:
    match step:
        case StepAside(path, child):
            (copy.rename if child.kind is FileKind.DIRECTORY else copy.link)(path, _aside(child.inode, child.kind))
        case Place(path, child):
            source = _aside(child.inode, child.kind)
            (copy.rename if child.kind is FileKind.DIRECTORY else copy.link)(source, path)
        case Remove(path, _):
            assert not copy.children(path), "a directory is removed that is not empty"
            copy.remove(path)
        case Make(path, child):
            made = new.objects[child.inode]
            copy.make(path, child.kind, made.content)
            copy.objects[copy._known(path)].mode = made.mode
        case Link(path, to):
            copy.link(to, path)
        case Renew(path, _, child):
            renewed, wanted = copy.objects[copy._known(path)], new.objects[child.inode]
            renewed.content, renewed.mode = wanted.content, wanted.mode
        case Describe(path):
            copy.objects[copy._known(path)].mode = new.objects[new._known(path)].mode


def _aside(inode: int, kind: FileKind) -> bytes:
    return below(ASIDE, b"%d%s" % (inode, b"d" if kind is FileKind.DIRECTORY else kind.name.encode()))


def two_snapshots(before: Sequence[Edit], after: Sequence[Edit]) -> tuple[SmallTree, SmallTree]:
    """Of the first one a diff can tell all."""
    tree = SmallTree()
    edit(tree, before)
    for inode, paths in tree.paths().items():
        tree.objects[inode].home = tree._known(parent(paths[-1]))
    old = tree.copy()
    edit(tree, after)
    return old, tree


def followed(old: SmallTree, new: SmallTree, hints: Hints) -> SmallTree:
    return staged(old, new, [*changes(compared(old, new, hints), old, new)])


@given(EDITS, EDITS)
def test_with_a_whole_diff_the_copy_is_the_source(before: list[Edit], after: list[Edit]) -> None:
    old, new = two_snapshots(before, after)
    assert followed(old, new, Hints.of(diff(old, new))).seen() == new.seen()


@given(EDITS)
def test_snapshot_after_snapshot_what_a_diff_is_silent_of_is_found(edits: list[Edit]) -> None:
    """Each edit has a snapshot: a name that comes and goes between two leaves no trace but in `zfs diff`'s silence."""
    tree, astray = SmallTree(), set[int]()
    copy = tree.copy()
    for each in edits:
        old = tree.copy()
        edit(tree, [each])
        steps = [*changes(compared(old, tree, Hints.of(diff(old, tree))), old, tree, astray)]
        copy = staged(old, tree, steps)
        assert copy.seen() == tree.seen()
        astray = {step.inode for step in steps if isinstance(step, Stray)}


def test_a_file_that_lost_its_latest_name_is_looked_at_until_it_gets_another() -> None:
    tree = SmallTree()
    for each in (b"a", b"b"):
        tree.make(each, FileKind.DIRECTORY)
    tree.make(b"a/f", FileKind.FILE, b"1")
    tree.link(b"a/f", b"b/f")
    old = tree.copy()
    tree.remove(b"b/f")
    steps = [*changes(compared(old, tree, Hints.of(diff(old, tree))), old, tree)]
    inode = tree._known(b"a/f")
    assert [step for step in steps if isinstance(step, Stray)] == [Stray(inode)]

    old = tree.copy()
    tree.rename(b"a", b"c")
    tree.write(b"c/f", b"2")
    assert not [each for each in diff(old, tree) if each.new == b"c/f"], "nothing is said of it"
    steps = [*changes(compared(old, tree, Hints.of(diff(old, tree))), old, tree, {inode})]
    assert staged(old, tree, steps).seen() == tree.seen()
    assert Stray(inode) in steps

    old = tree.copy()
    tree.rename(b"c/f", b"c/g")
    steps = [*changes(compared(old, tree, Hints.of(diff(old, tree))), old, tree, {inode})]
    assert Stray(inode) not in steps

    old = tree.copy()
    tree.remove(b"c/g")
    assert Stray(inode) not in [*changes(compared(old, tree, Hints.of(diff(old, tree))), old, tree, {inode})]


@given(EDITS, EDITS)
def test_without_any_diff_the_copy_is_the_source(before: list[Edit], after: list[Edit]) -> None:
    old, new = two_snapshots(before, after)
    assert followed(old, new, Hints.everywhere()).seen() == new.seen()


LIES = st.lists(
    st.tuples(
        st.sampled_from(DifferenceKind),
        st.sampled_from([None, *FileKind]),
        st.sampled_from([b"n0", b"n1/n2", b"n3/n1/n0", b"gone/far", b""]),
        st.sampled_from([b"n1", b"n2/n0", b"n0/n0", b"nowhere", b""]),
    ),
    max_size=4,
)


@given(EDITS, EDITS, LIES)
def test_lies_beside_the_truth_do_no_harm(
    before: list[Edit], after: list[Edit], lies: list[tuple[DifferenceKind, FileKind | None, bytes, bytes]]
) -> None:
    old, new = two_snapshots(before, after)
    told = [*diff(old, new), *(Difference(*each) for each in lies)]
    assert followed(old, new, Hints.of(told)).seen() == new.seen()


@given(EDITS, EDITS, st.data())
def test_what_a_diff_misses_is_found_by_the_next_whole_comparison(
    before: list[Edit], after: list[Edit], data: st.DataObject
) -> None:
    old, new = two_snapshots(before, after)
    whole = [*diff(old, new)]
    told = [each for each in whole if data.draw(st.booleans())]
    steps = [*changes(compared(old, new, Hints.of(told)), old, new)]
    staged(old, new, steps)  # whatever it is led to can be done
    assert followed(old, new, Hints.everywhere()).seen() == new.seen()


def test_a_renamed_directory_moves_whole_and_nothing_in_it_is_looked_at() -> None:
    tree = SmallTree()
    tree.make(b"many", FileKind.DIRECTORY)
    for number in range(100):
        tree.make(b"many/%d" % number, FileKind.FILE, b"x")
    old = tree.copy()
    tree.rename(b"many", b"others")
    steps = [*changes(compared(old, tree, Hints.of(diff(old, tree))), old, tree)]
    assert [type(step) for step in steps] == [StepAside, Place, Describe, Describe]
    assert staged(old, tree, steps).seen() == tree.seen()


def test_a_missed_removal_and_a_missed_making_in_a_directory_that_was_named_are_found() -> None:
    tree = SmallTree()
    tree.make(b"d", FileKind.DIRECTORY)
    for each in (b"d/one", b"d/two"):
        tree.make(each, FileKind.FILE, each)
    old = tree.copy()
    tree.remove(b"d/one")
    tree.make(b"d/three", FileKind.FILE, b"3")
    tree.write(b"d/two", b"2")
    told = [each for each in diff(old, tree) if each.new == b"d/two"]
    assert len(told) == 1
    assert followed(old, tree, Hints.of(told)).seen() == tree.seen()


def test_what_a_diff_misses_in_a_directory_that_moved_is_found() -> None:
    tree = SmallTree()
    tree.make(b"d", FileKind.DIRECTORY)
    tree.make(b"d/one", FileKind.FILE, b"1")
    old = tree.copy()
    tree.rename(b"d", b"e")
    tree.make(b"e/two", FileKind.FILE, b"2")
    told = [each for each in diff(old, tree) if each.change is DifferenceKind.RENAMED]
    assert followed(old, tree, Hints.of([told[0]._replace(kind=None)])).seen() == tree.seen()


def test_a_file_written_with_its_time_set_back_is_looked_at() -> None:
    tree = SmallTree()
    tree.make(b"f", FileKind.FILE, b"before")
    old = tree.copy()
    tree.write_secretly(b"f", b"after!")
    steps = [*changes(compared(old, tree, Hints.of(diff(old, tree))), old, tree)]
    assert [step for step in steps if isinstance(step, Renew)]
    assert followed(old, tree, Hints.of(diff(old, tree))).seen() == tree.seen()


def test_another_name_of_a_file_that_nothing_told_of_is_a_link_and_no_second_file() -> None:
    tree = SmallTree()
    for each in (b"a", b"b"):
        tree.make(each, FileKind.DIRECTORY)
    tree.make(b"a/f", FileKind.FILE, b"once")
    old = tree.copy()
    tree.link(b"a/f", b"b/f")
    told = [each for each in diff(old, tree) if parent(each.new) != b"a"]
    steps = [*changes(compared(old, tree, Hints.of(told)), old, tree)]
    assert not [step for step in steps if isinstance(step, Make)]
    assert staged(old, tree, steps).seen() == tree.seen()


def test_only_directories_that_are_led_to_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = SmallTree()
    for number in range(20):
        tree.make(b"d%d" % number, FileKind.DIRECTORY)
        tree.make(b"d%d/f" % number, FileKind.FILE, b"x")
    old = tree.copy()
    tree.write(b"d7/f", b"y")
    read: list[bytes] = []
    children = SmallTree.children

    def noted(tree: SmallTree, path: bytes) -> Mapping[bytes, Child] | None:
        read.append(path)
        return children(tree, path)

    monkeypatch.setattr(SmallTree, "children", noted)
    compared(old, tree, Hints.of(diff(old, tree)))
    assert sorted(read) == [b"", b"", b"d7", b"d7"]
