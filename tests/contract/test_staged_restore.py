"""Restoring from a staged folder: what is chosen, with all its metadata, to a new place; what cannot be, is named."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.encryption_keys import age_identity, age_recipient
from tests.contract.staged import Site, copied, nobody, site

from ec2zfs.encryption.identities import Identity, recognised
from ec2zfs.encryption.interface import Recipients
from ec2zfs.encryption.recipients import judged
from ec2zfs.errors import AlreadyThere, Damaged, Refused, WrongIdentity
from ec2zfs.model.tree import FileKind
from ec2zfs.plan.tree_hints import Hints
from ec2zfs.staging import segments
from ec2zfs.staging.folder import Folder
from ec2zfs.staging.listing import labels, versions
from ec2zfs.staging.patterns import Patterns
from ec2zfs.staging.records import Head, Meta, Named, Record
from ec2zfs.staging.restoring import Choice, restored

Key = tuple[Recipients, Identity]


@pytest.fixture(scope="module")
def key() -> Key:
    identity = age_identity()
    return judged([age_recipient(identity)]), recognised(identity)


@pytest.fixture
def it(key: Key) -> Iterator[Site]:
    with site(*key) as made:
        (made.live / "a/b/c").mkdir(parents=True)
        for name in ("top.txt", "a/one.txt", "a/b/two.txt", "a/b/c/three.txt", "a/b/c/three.log"):
            (made.live / name).write_text(name)
        made.stage()
        yield made


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("top.txt", ["top.txt"]),
        ("/top.txt", ["top.txt"]),
        ("*.txt", ["top.txt"]),
        ("**/*.txt", ["a/b/c/three.txt", "a/b/two.txt", "a/one.txt", "top.txt"]),
        ("a/**/three.*", ["a/b/c/three.log", "a/b/c/three.txt"]),
        ("a/b", ["a/b/c/three.log", "a/b/c/three.txt", "a/b/two.txt"]),
        ("a/b/c/**", ["a/b/c/three.log", "a/b/c/three.txt"]),
        ("a/*/two.txt", ["a/b/two.txt"]),
        ("a/*/three.txt", []),
        ("t[o-p]p.t?t", ["top.txt"]),
        ("t[!x]p.txt", ["top.txt"]),
        ("[top.txt", []),
        ("a?one.txt", []),
        ("", ["a/b/c/three.log", "a/b/c/three.txt", "a/b/two.txt", "a/one.txt", "top.txt"]),
    ],
)
def test_patterns(pattern: str, meant: list[str]) -> None:
    names = ["top.txt", "a/one.txt", "a/b/two.txt", "a/b/c/three.txt", "a/b/c/three.log"]
    patterns = Patterns([pattern])
    assert sorted(name for name in names if patterns.match(name.encode())) == meant
    assert list(patterns.unmatched) == ([] if meant else [pattern])


@pytest.mark.parametrize("odd", ["[", "[]", "[!]", "[]]", "[^^]", "[a-", "[z-a]", "[&&x]", "\\", "(", "a**b", "[/]"])
def test_no_pattern_is_an_error(odd: str) -> None:
    assert not Patterns([odd]).match(b"plain")


def test_what_is_chosen_comes_with_the_directories_above_it(it: Site) -> None:
    (it.live / "a").chmod(0o750)
    it.stage()
    said, found = it.restored(Choice(("**/three.txt", "nothing*")))
    assert sorted(found) == [b"", b"a", b"a/b", b"a/b/c", b"a/b/c/three.txt"]
    assert found[b"a"].meta.mode == 0o750
    assert found[b""].meta.mode == 0o700
    assert said.unmatched == ("nothing*",)
    assert (said.names, said.bytes) == (4, 15)


def test_nothing_is_overwritten(it: Site) -> None:
    target = it.top / "there"
    target.mkdir()
    (target / "mine").write_text("mine")
    with pytest.raises(AlreadyThere, match="is not empty"):
        restored(it.folder, it.identity, Choice(), target, nobody)
    assert [each.name for each in target.iterdir()] == ["mine"]


def test_links_stay_links_also_where_the_folder_lost_its_own(it: Site) -> None:
    os.link(it.live / "top.txt", it.live / "a/again")
    (it.live / "link").symlink_to("nowhere")
    os.link(it.live / "link", it.live / "a/link", follow_symlinks=False)
    it.stage()
    copied(it.folder, it.top / "copy", "-r")
    shutil.rmtree(it.top / "copy/files")
    said, found = it.restored(folder=it.top / "copy")
    assert not said.failed
    assert found == it.wanted()
    assert (it.top / "restored/link").lstat().st_nlink == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="devices are root's to make")
def test_devices_owners_and_special_modes(it: Site) -> None:
    os.mknod(it.live / "null", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    os.mknod(it.live / "disk", 0o640 | stat.S_IFBLK, os.makedev(259, 65_537))
    os.chown(it.live / "top.txt", 1234, 4321)
    (it.live / "top.txt").chmod(0o4755)
    (it.live / "a").chmod(0o3777)
    os.setxattr(it.live / "a/one.txt", "user.x", b"\0\xff")
    subprocess.run(["setfacl", "-m", "u:77:r", it.live / "a/one.txt"], check=True)
    subprocess.run(["setfacl", "-d", "-m", "g:78:rx", it.live / "a/b"], check=True)
    it.stage()
    it.assert_same()


def test_a_sparse_file_is_sparse_again(it: Site) -> None:
    with (it.live / "sparse").open("wb") as file:
        file.truncate(40 << 20)
        file.seek(20 << 20)
        file.write(b"middle")
    it.stage()
    it.assert_same()
    assert (it.top / "restored/sparse").stat().st_blocks * 512 < 4 << 20


def test_paths_longer_than_the_kernel_takes(it: Site) -> None:
    """Directories and what has no content come back, however deep."""
    descriptor = os.open(it.live, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=descriptor)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.symlink("deep", "link", dir_fd=descriptor)
    os.mkfifo("fifo", dir_fd=descriptor)
    os.close(descriptor)
    it.shots = [it.live]
    assert not it.bring(Hints.everywhere()).unread
    it.assert_same()


def test_altered_cut_off_and_exchanged_objects_are_named_and_the_rest_is_restored(it: Site) -> None:
    (it.live / "a/one.txt").write_text("as long too")
    it.stage()
    place = Folder(it.folder)
    tree = it.album.tree(it.shots[-1])
    inodes = {
        name: node.inode for name in ("top.txt", "a/one.txt", "a/b/two.txt") if (node := tree.node(name.encode()))
    }
    os.truncate(place.object(inodes["top.txt"]), 100)
    Path(place.object(inodes["a/one.txt"])).write_bytes(Path(place.object(inodes["a/b/two.txt"])).read_bytes())
    content = bytearray(Path(place.object(inodes["a/b/two.txt"])).read_bytes())
    content[-1] ^= 1
    Path(place.object(inodes["a/b/two.txt"])).write_bytes(content)
    said, found = it.restored()
    assert sorted(each.path for each in said.failed) == [b"a/b/two.txt", b"a/one.txt", b"top.txt"]
    assert not {b"a/b/two.txt", b"a/one.txt", b"top.txt"} & set(found)
    assert found[b"a/b/c/three.txt"].content == b"a/b/c/three.txt"
    assert not [path for path in found if b"ec2zfs" in path]


def test_a_wrong_identity_restores_nothing(it: Site) -> None:
    it.identity = recognised(age_identity())
    with pytest.raises(WrongIdentity):
        it.restored()


def test_an_altered_manifest_is_told(it: Site) -> None:
    path = it.folder / "manifest/000001.age"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(Damaged):
        it.restored()


def test_an_earlier_snapshot_gives_what_was_not_changed_since(it: Site) -> None:
    (it.live / "top.txt").write_text("changed")
    (it.live / "a/one.txt").unlink()
    (it.live / "a/b").rename(it.live / "moved")
    it.stage()
    said, found = it.restored(Choice(number=1))
    assert sorted(each.path for each in said.failed) == [b"a/one.txt", b"top.txt"]
    assert found[b"a/b/c/three.txt"].content == b"a/b/c/three.txt"
    with pytest.raises(Refused, match="no snapshot of number 7"):
        it.restored(Choice(number=7))


def test_what_there_is_at_which_snapshots(it: Site) -> None:
    (it.live / "top.txt").write_text("changed now")
    it.stage()
    (it.live / "top.txt").unlink()
    it.stage()
    found = versions(it.folder, it.identity, ["top.*"])
    assert [(each.number, each.kind, each.size) for each in found[b"top.txt"]] == [
        (1, FileKind.FILE, 7),
        (2, FileKind.FILE, 11),
        (3, None, 0),
    ]
    assert [label.snapshot for _, label in labels(it.folder, it.identity)] == ["s1", "s2", "s3"]


def test_after_a_base_what_cannot_be_decrypted_before_it_is_passed_over(it: Site) -> None:
    it.terms = it.terms.__class__(judged([age_recipient(other := age_identity())]), it.terms.names)
    it.stage()
    assert [number for number, _ in labels(it.folder, recognised(other))] == [2]


@pytest.mark.parametrize("name", [b"..", b".", b"", b"../escaped", b"/etc/x", b"a\0b"])
def test_a_manifest_whose_names_lead_elsewhere_is_refused(it: Site, name: bytes) -> None:
    """Anybody can encrypt to a public key."""
    forge(it, [*TREE, Named(1, name, 2), Meta(2, FileKind.LINK, 0o777, 0, 0, 0, 0, {}, b"x", None)])
    with pytest.raises(Damaged, match="can be no name"):
        it.restored()
    assert not list(it.top.rglob("escaped"))


def test_a_manifest_with_a_circle_is_refused(it: Site) -> None:
    forge(it, [*TREE, Named(1, b"d", 1)])
    with pytest.raises(Damaged, match="twice"):
        it.restored()


TREE: list[Record] = [
    Head("tank/home", "s", 1, 1, 1, True),
    Meta(1, FileKind.DIRECTORY, 0o755, 0, 0, 0, 0, {}, None, None),
]


def forge(it: Site, records: list[Record]) -> None:
    path = it.folder / "manifest/000001.age"
    path.unlink()
    with segments.SegmentWriter(path, it.terms.recipients) as writer:
        for record in records:
            writer.write(record)


def test_a_segment_that_does_not_come_to_its_end_is_damaged(it: Site) -> None:
    path = it.folder / "manifest/000002.age"
    with contextlib.suppress(ZeroDivisionError), segments.SegmentWriter(path, it.terms.recipients) as writer:
        writer.write(TREE[0])
        raise ZeroDivisionError
    with pytest.raises(Damaged, match="its end is missing"):
        list(segments.read_segment(path, it.identity))
