"""Random trees, random edits, and diffs that are whole, miss lines or lie: what is restored is the source, exactly."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contract.encryption_keys import Gnupg, age_identity, age_recipient
from tests.contract.staged import Site, copied, site
from tests.fakes.edits import KINDS, Edit
from tests.sweep import examples

from ec2zfs.encryption.identities import Identity, recognised
from ec2zfs.encryption.interface import Recipients
from ec2zfs.encryption.recipients import judged
from ec2zfs.model.tree import Difference, DifferenceKind, FileKind
from ec2zfs.plan.tree_hints import Hints
from ec2zfs.staging.terms import NameMode

Key = tuple[Recipients, Identity]
MODES = st.sampled_from(NameMode)
EDITS = st.lists(st.tuples(st.integers(0, KINDS - 1), st.integers(0, 60), st.integers(0, 60)), min_size=4, max_size=24)


@pytest.fixture(scope="module")
def key() -> Key:
    identity = age_identity()
    return judged([age_recipient(identity)]), recognised(identity)


def first(site: Site, edits: list[Edit]) -> None:
    site.source.edit(edits)
    report = site.stage()
    assert report.base
    assert not report.mended


@settings(max_examples=examples(150))
@given(st.lists(EDITS, min_size=2, max_size=4), MODES)
def test_with_whole_diffs(key: Key, edits: list[list[Edit]], names: NameMode) -> None:
    with site(*key, names) as it:
        first(it, edits[0])
        for each in edits[1:]:
            it.source.edit(each)
            assert not it.stage().base
        it.assert_same()


@settings(max_examples=examples(50))
@given(EDITS, EDITS, MODES)
def test_without_any_diff(key: Key, before: list[Edit], after: list[Edit], names: NameMode) -> None:
    with site(*key, names) as it:
        first(it, before)
        it.source.edit(after)
        it.take()
        report = it.bring(Hints.everywhere())
        assert report.base
        assert not report.mended
        it.assert_same()


@settings(max_examples=examples(50))
@given(EDITS, EDITS, MODES)
def test_without_the_snapshot_before(key: Key, before: list[Edit], after: list[Edit], names: NameMode) -> None:
    with site(*key, names) as it:
        first(it, before)
        it.source.edit(after)
        it.take()
        assert it.bring(lost=True).base
        it.assert_same()


@settings(max_examples=examples(10))
@given(EDITS, EDITS)
def test_in_openpgp_too(gnupg: Gnupg, before: list[Edit], after: list[Edit]) -> None:
    with site(judged([gnupg.public("alice")]), recognised(gnupg.secret("alice"))) as it:
        first(it, before)
        it.source.edit(after)
        it.stage()
        it.assert_same()


LIES = st.lists(
    st.tuples(
        st.sampled_from(DifferenceKind),
        st.sampled_from([None, *FileKind]),
        st.sampled_from([b"one", b"two/one", b"two/two/in", b"gone/far", b"", b"../..", b"one/\0"]),
        st.sampled_from([b"two", b"one/one", b"two/two", b"nowhere", b"", b".", b"/etc"]),
    ),
    max_size=4,
)


@settings(max_examples=examples(80))
@given(EDITS, EDITS, LIES, MODES)
def test_lies_beside_the_truth(
    key: Key,
    before: list[Edit],
    after: list[Edit],
    lies: list[tuple[DifferenceKind, FileKind | None, bytes, bytes]],
    names: NameMode,
) -> None:
    with site(*key, names) as it:
        first(it, before)
        it.source.edit(after)
        it.take()
        told = [*it.album.diff(*it.shots[-2:]), *(Difference(*each) for each in lies)]
        it.bring(Hints.of(told))
        it.assert_same()


@settings(max_examples=examples(100))
@given(st.lists(EDITS, min_size=3, max_size=5), MODES, st.data())
def test_what_diffs_missed_is_mended_by_the_next_whole_comparison(
    key: Key, edits: list[list[Edit]], names: NameMode, data: st.DataObject
) -> None:
    with site(*key, names) as it:
        first(it, edits[0])
        for each in edits[1:-1]:
            it.source.edit(each)
            it.take()
            it.bring(Hints.of([line for line in it.album.diff(*it.shots[-2:]) if data.draw(st.booleans())]))
        it.source.edit(edits[-1])
        it.take()
        it.bring(Hints.everywhere())
        it.assert_same()


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Reaper:
    """Ends what runs at a call of the kernel that changes something, counted from now; `calls` were made."""

    left: int
    calls: int = 0

    def hear(self, event: str, _: object) -> None:
        if event in (
            "os.link",
            "os.rename",
            "os.mkdir",
            "os.remove",
            "os.rmdir",
            "os.utime",
            "open",
            "shutil.copyfile",
        ):
            self.calls += 1
            self.left -= 1
            if not self.left:
                raise Killed


_REAPERS: list[Reaper] = []


def _heard(event: str, arguments: object) -> None:
    for each in _REAPERS:
        each.hear(event, arguments)


sys.addaudithook(_heard)  # for good: there is no way to take one away


@contextmanager
def reaped(left: int) -> Iterator[Reaper]:
    reaper = Reaper(left)
    _REAPERS.append(reaper)
    try:
        yield reaper
    finally:
        _REAPERS.remove(reaper)


@settings(max_examples=examples(60))
@given(EDITS, EDITS, MODES, st.data())
def test_killed_rolled_back_and_done_again(
    key: Key, before: list[Edit], after: list[Edit], names: NameMode, data: st.DataObject
) -> None:
    with site(*key, names) as it:
        first(it, before)
        it.source.edit(after)
        it.take()
        saved = it.top / "saved"
        copied(it.folder, saved)
        with reaped(0) as counted:
            it.bring()
        for _ in range(3):
            roll_back(it, saved)
            with reaped(data.draw(st.integers(1, counted.calls))), pytest.raises(Killed):
                it.bring()
        roll_back(it, saved)
        it.bring()
        it.assert_same()


def roll_back(it: Site, saved: object) -> None:
    shutil.rmtree(it.folder)
    copied(it.top / "saved", it.folder)
