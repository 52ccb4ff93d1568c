"""Seals: what is written is read, and what is not whole is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from ec2zfs.encryption.interface import Content
from ec2zfs.errors import Damaged
from ec2zfs.staging.seals import Sealed, SealsWriter, read_ends, read_seals

SEGMENT, OBJECT = Content(7, bytes(32)), Content(5, bytes(range(32)))


@pytest.fixture
def seals(tmp_path: Path) -> Path:
    path = tmp_path / "000002.seals"
    with SealsWriter(path, ("A", "B"), base=False) as writer:
        writer.written(300, OBJECT)
        writer.removed(4)
        writer.unread(5)
        for inode in (6, 7):
            writer.astray(inode)
        writer.close_with(SEGMENT)
    return path


def test_what_is_written_is_read(seals: Path) -> None:
    sets = (frozenset({4}), frozenset({5}), frozenset({6, 7}))
    assert read_seals(seals) == Sealed(("A", "B"), False, SEGMENT, {300: OBJECT}, *sets)
    assert read_ends(seals) == (("A", "B"), 1, 2)


def test_seals_that_did_not_tell_yet_what_is_astray_are_whole(seals: Path) -> None:
    text = "".join(line for line in seals.read_text().splitlines(keepends=True) if "astray" not in line)
    seals.write_text(text.replace("open\t1\t2\n", "open\t1\n"))
    assert read_seals(seals).astray == frozenset()
    assert read_ends(seals) == (("A", "B"), 1, 0)


@pytest.mark.parametrize("lost", ["06\tastray\n", "05\tunread\n", "open\t1\t2\n"])
def test_a_line_that_is_missing_is_noticed(seals: Path, lost: str) -> None:
    text = seals.read_text()
    assert lost in text
    seals.write_text(text.replace(lost, ""))
    with pytest.raises(Damaged, match="no whole seals"):
        read_seals(seals)
