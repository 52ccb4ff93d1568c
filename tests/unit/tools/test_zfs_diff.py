"""What `zfs diff -FHt` prints, as lines of OpenZFS 2.3 and as any bytes at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ec2zfs.model.tree import Difference, DifferenceKind, FileKind
from ec2zfs.tools.zfs_diff import UnreadableDiff, differences

ROOT = b"/tank/home"
ADDED, REMOVED, MODIFIED, RENAMED = (
    DifferenceKind.ADDED,
    DifferenceKind.REMOVED,
    DifferenceKind.MODIFIED,
    DifferenceKind.RENAMED,
)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"1795787222.123456789\tM\t/\t/tank/home/", Difference(MODIFIED, FileKind.DIRECTORY, b"", b"")),
        (b"1795787222.123456789\tM\t/\t/tank/home", Difference(MODIFIED, FileKind.DIRECTORY, b"", b"")),
        (b" 795787222.123456789\t+\tF\t/tank/home/a", Difference(ADDED, FileKind.FILE, b"a", b"a")),
        (b"1795787222.1\t-\t@\t/tank/home/a/b", Difference(REMOVED, FileKind.LINK, b"a/b", b"a/b")),
        (b"1795787222.1\tM\tF\t/tank/home/a\t(+1)", Difference(MODIFIED, FileKind.FILE, b"a", b"a")),
        (b"1795787222.1\tR\tF\t/tank/home/a\t/tank/home/b", Difference(RENAMED, FileKind.FILE, b"a", b"b")),
        (b"1795787222.1\t+\t>\t/tank/home/door", Difference(ADDED, None, b"door", b"door")),
        (
            b"1795787222.1\t+\tF\t/tank/home/\\0040\\0011\\0012\\0134\\0377.",
            Difference(ADDED, FileKind.FILE, b" \t\n\\\xff.", b" \t\n\\\xff."),
        ),
    ],
)
def test_a_line_is_read(line: bytes, told: Difference) -> None:
    assert [*differences([line + b"\n"], ROOT)] == [told]


def test_what_has_no_name_any_more_is_passed_over() -> None:
    assert not [*differences([b"1795787222.1\t-\tF\t/tank/home(on_delete_queue)\n"], ROOT)]


def test_a_file_with_that_name_is_a_file() -> None:
    told = Difference(ADDED, FileKind.FILE, b"(on_delete_queue)", b"(on_delete_queue)")
    assert [*differences([b"1795787222.1\t+\tF\t/tank/home/(on_delete_queue)\n"], ROOT)] == [told]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"Unable to determine path or stats for object 7 in tank/home@a: File exists",
        b"1795787222.1\tX\tF\t/tank/home/a",
        b"1795787222.1\tR\tF\t/tank/home/a",
        b"1795787222.1\tM\tF\t/tank/home/a\t/tank/home/b",
        b"1795787222.1\tM\tF\t/tank/homes/a",
        b"1795787222.1\tM\tF\t/elsewhere",
    ],
)
def test_any_other_line_is_no_diff_to_rely_on(line: bytes) -> None:
    with pytest.raises(UnreadableDiff):
        list(differences([line], ROOT))


NAMES = st.binary(min_size=1, max_size=40).filter(lambda name: b"/" not in name and b"\0" not in name)


def escaped(path: bytes) -> bytes:
    """As libzfs_diff.c's stream_bytes() prints it without -h."""
    return b"".join(b"\\%04o" % each if each <= 0x20 or each == 0x5C or each >= 0x7F else b"%c" % each for each in path)


@given(st.lists(NAMES, min_size=1, max_size=4), st.lists(NAMES, min_size=1, max_size=4))
def test_any_name_comes_back(one: list[bytes], other: list[bytes]) -> None:
    old, new = b"/".join(one), b"/".join(other)
    line = b"1.0\tR\tF\t%s\t%s\n" % (escaped(ROOT + b"/" + old), escaped(ROOT + b"/" + new))
    assert [*differences([line], ROOT)] == [Difference(RENAMED, FileKind.FILE, old, new)]


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(line: bytes) -> None:
    try:
        told = [*differences([line], ROOT)]
    except UnreadableDiff:
        return
    assert all(isinstance(each, Difference) and not each.new.startswith(b"/") for each in told)
