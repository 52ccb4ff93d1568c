"""What a staged folder holds, tells and hides; to whom it is encrypted; and what is found when it was meddled with."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.contract.encryption_keys import Gnupg, age_identity, age_recipient
from tests.contract.staged import Site, copied, nobody, site
from tests.fakes.edits import MARKER

from ec2zfs.encryption.identities import Identity, recognised
from ec2zfs.encryption.interface import Recipients
from ec2zfs.encryption.recipients import judged
from ec2zfs.errors import Damaged, Refused, WrongIdentity
from ec2zfs.plan.tree_hints import Hints
from ec2zfs.staging.folder import VERSION, Folder, stands
from ec2zfs.staging.restoring import Choice
from ec2zfs.staging.terms import NameMode, Terms
from ec2zfs.staging.verification import verified

Key = tuple[Recipients, Identity]


def new_key() -> Key:
    identity = age_identity()
    return judged([age_recipient(identity)]), recognised(identity)


@pytest.fixture(scope="module")
def key() -> Key:
    return new_key()


@pytest.fixture(scope="module")
def other_key() -> Key:
    return new_key()


@pytest.fixture
def it(key: Key) -> Iterator[Site]:
    with site(*key) as made:
        populate(made)
        made.stage()
        yield made


def populate(it: Site) -> None:
    live = it.live
    (live / "home/docs").mkdir(parents=True)
    (live / "home/docs/a.txt").write_bytes(MARKER + b" a")
    (live / "home/b.txt").write_bytes(MARKER + b" b" * 1000)
    (live / "home/empty").write_bytes(b"")
    os.link(live / "home/b.txt", live / "home/docs/linked")
    (live / "home/link").symlink_to(MARKER.decode())
    os.setxattr(live / "home/b.txt", "user.note", MARKER)


def objects(it: Site) -> list[Path]:
    return sorted(path for path in (it.folder / "objects").rglob("*") if path.is_file())


def object_of(it: Site, name: str) -> Path:
    node = it.album.tree(it.shots[-1]).node(name.encode())
    assert node is not None
    return Path(Folder(it.folder).object(node.inode))


def everything(folder: Path) -> bytes:
    """All names, contents, links' targets and attributes in a folder."""
    parts = [str(path).encode() for path in folder.rglob("*")]
    parts += [path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return b"\n".join(parts)


# What it holds


def test_names_are_links_to_the_objects(it: Site) -> None:
    files = it.folder / "files/home"
    assert (files / "b.txt").samefile(object_of(it, "home/b.txt"))
    assert (files / "docs/linked").samefile(object_of(it, "home/b.txt"))
    assert not os.path.lexists(files / "link")
    assert len(objects(it)) == 3
    assert {path.stat().st_mode & 0o777 for path in it.folder.rglob("*") if path.is_dir()} == {0o700}


@pytest.mark.parametrize("names", NameMode)
def test_nothing_of_the_source_is_in_clear_but_plain_names(key: Key, names: NameMode) -> None:
    with site(*key, names) as it:
        populate(it)
        (it.live / "telling").write_bytes(MARKER)
        it.stage()
        found = everything(it.folder)
        assert MARKER not in found
        assert (b"telling" in found) == (names is NameMode.PLAIN)
        assert (it.folder / "files").exists() == (names is NameMode.PLAIN)


def test_a_rename_a_mode_and_another_name_encrypt_nothing(it: Site) -> None:
    before = {path: path.stat().st_ino for path in objects(it)}
    (it.live / "home").rename(it.live / "house")
    (it.live / "house/b.txt").chmod(0o600)
    os.link(it.live / "house/empty", it.live / "second")
    report = it.stage()
    assert report.encrypted == 0
    assert report.missed == 0
    assert {path: path.stat().st_ino for path in objects(it)} == before
    it.assert_same()


def test_a_renamed_directory_of_many_files_is_two_records(it: Site) -> None:
    (it.live / "many").mkdir()
    for number in range(300):
        (it.live / f"many/{number}").write_bytes(b"x")
    it.stage()
    (it.live / "many").rename(it.live / "more")
    report = it.stage()
    assert (report.encrypted, report.moved, report.removed) == (0, 1, 0)
    assert (it.folder / "manifest/000003.age").stat().st_size < 1000
    it.assert_same()


def test_what_a_diff_missed_is_counted(it: Site) -> None:
    (it.live / "home/docs/a.txt").write_bytes(b"changed")
    (it.live / "new").write_bytes(b"new")
    it.take()
    report = it.bring(Hints(whole={b""}))
    assert report.missed == 2
    assert report.mended == 0


def test_what_an_earlier_run_missed_is_counted_as_mended(it: Site) -> None:
    (it.live / "home/docs/a.txt").write_bytes(b"changed")
    it.take()
    it.bring(Hints())
    (it.live / "new").write_bytes(b"new")
    it.take()
    report = it.bring(Hints.everywhere())
    assert (report.encrypted, report.mended) == (2, 1)
    it.assert_same()


def test_a_log_whose_older_snapshot_is_gone_goes_on_with_a_base(it: Site) -> None:
    (it.live / "home/b.txt").write_bytes(b"changed")
    it.take()
    it.shots = it.shots[-1:]
    report = it.bring()
    assert (report.base, report.number, report.encrypted) == (True, 2, 1)
    it.assert_same()


def test_what_cannot_be_read_is_named_and_tried_again(it: Site) -> None:
    (it.live / "bad").write_bytes(MARKER)
    os.link(it.live / "bad", it.live / "home/worse")
    (it.live / "good").write_bytes(MARKER)
    it.album.unreadable = {b"bad", b"home/worse"}
    report = it.stage()
    assert [each.path for each in report.unread] in ([b"bad"], [b"home/worse"])
    assert report.encrypted == 1
    staged = stands(it.folder)
    assert staged is not None
    assert staged.unread == 1
    assert not it.findings(it.identity)
    said, found = it.restored()
    assert sorted(each.path for each in said.failed) == [b"bad", b"home/worse"]
    assert set(it.wanted()) - set(found) == {b"bad", b"home/worse"}
    assert len(it.stage().unread) == 1
    it.album.unreadable = set()
    assert it.stage().unread == ()
    it.assert_same()


@pytest.mark.parametrize("whole", [True, False])
def test_what_does_not_give_its_attributes_is_named_and_tried_again(it: Site, whole: bool) -> None:
    """Its content too, and both count as one."""
    (it.live / "bad").write_bytes(MARKER)
    (it.live / "home/b.txt").write_bytes(b"changed")
    it.album.closed = {b"bad", b"home/b.txt", b"home/docs/linked"}
    it.album.unreadable = {b"bad"}
    it.take()
    report = it.bring(Hints.everywhere() if whole else None)
    assert len(report.unread) == 2
    assert it.album.closed > {each.path for each in report.unread}
    assert not it.findings(it.identity)
    it.album.closed, it.album.unreadable = set(), set()
    it.stage()
    it.assert_same()


def test_what_could_not_be_read_and_is_gone_is_asked_for_no_more(it: Site) -> None:
    it.album.unreadable = {b"bad"}
    (it.live / "bad").write_bytes(MARKER)
    it.stage()
    (it.live / "bad").unlink()
    assert it.stage().unread == ()
    it.assert_same()


def test_a_folder_that_is_not_ours_is_refused(it: Site) -> None:
    (it.folder / "staging.json").unlink()
    it.take()
    with pytest.raises(Refused, match="is no staged folder"):
        it.bring()


def test_a_folder_of_another_version_is_refused(it: Site) -> None:
    header = it.folder / "staging.json"
    header.write_text(header.read_text().replace(f'"version": {VERSION}', '"version": 1'))
    it.take()
    with pytest.raises(Refused, match=f"is staged in version 1; this ec2zfs knows {VERSION} alone"):
        it.bring()


def test_a_folder_that_was_left_unfinished_is_refused(it: Site) -> None:
    (it.folder / "unfinished").mkdir()
    with pytest.raises(Damaged, match="in the middle"):
        stands(it.folder)


def test_many_files_go_through_workers_from_the_first_snapshot_on(key: Key) -> None:
    with site(*key) as it:
        for number in range(400):
            (it.live / f"{number}").write_bytes(b"%d" % number)
        assert it.stage().encrypted == 400
        for number in range(0, 400, 2):
            (it.live / f"{number}").write_bytes(b"again %d" % number)
            (it.live / f"{number + 1}").unlink()
        it.take()
        report = it.bring(Hints.everywhere())
        assert (report.encrypted, report.removed, report.mended) == (200, 200, 0)
        it.assert_same()


# To whom


def test_names_and_format_change_only_anew(it: Site) -> None:
    it.terms = Terms(it.terms.recipients, NameMode.ENCRYPTED)
    it.take()
    with pytest.raises(Refused, match="names are plain"):
        it.bring()
    report = it.bring(anew=True)
    assert (report.number, report.encrypted) == (1, 3)
    assert not (it.folder / "files").exists()
    it.assert_same()


def test_a_new_recipient_reads_what_is_new_and_an_old_one_what_is_old(it: Site, other_key: Key) -> None:
    recipients, other = other_key
    (it.live / "later").write_bytes(b"later")
    it.terms = Terms(recipients, it.terms.names)
    report = it.stage()
    assert report.base
    assert report.encrypted == 1
    old, it.identity = it.identity, other
    said, found = it.restored()
    assert found[b"later"].content == b"later"
    assert {each.path for each in said.failed} == {
        b"home/b.txt",
        b"home/docs/a.txt",
        b"home/docs/linked",
        b"home/empty",
    }
    assert all("not encrypted to the identity" in each.why for each in said.failed)
    it.identity = old
    with pytest.raises(WrongIdentity):
        it.restored()
    said, found = it.restored(Choice(number=1))
    assert not said.failed
    assert b"later" not in found
    assert not it.findings()


def test_another_recipient_beside_the_first_is_enough_for_the_first(it: Site, other_key: Key) -> None:
    both = Recipients(it.terms.recipients.format, (*it.terms.recipients.keys, *other_key[0].keys))
    it.terms = Terms(both, it.terms.names)
    assert it.stage().base
    assert not it.stage().base
    it.assert_same()


def test_all_again_for_another_recipient(it: Site, other_key: Key) -> None:
    old = it.identity
    it.terms, it.identity = Terms(other_key[0], it.terms.names), other_key[1]
    it.take()
    assert it.bring(anew=True).encrypted == 3
    it.assert_same()
    it.identity = old
    with pytest.raises(WrongIdentity):
        it.restored()


# Meddled with

Damage = Callable[[Site], object]


def flipped(path: Path, at: int = -20) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def swapped(it: Site) -> None:
    one, other = object_of(it, "home/b.txt"), object_of(it, "home/docs/a.txt")
    contents = one.read_bytes(), other.read_bytes()
    other.write_bytes(contents[0])
    one.write_bytes(contents[1])


def replaced(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:-1])


DAMAGES: dict[str, Damage] = {
    "an object with a bit flipped": lambda it: flipped(object_of(it, "home/b.txt")),
    "an object that was cut off": lambda it: os.truncate(object_of(it, "home/b.txt"), 100),
    "an object that is missing": lambda it: object_of(it, "home/b.txt").unlink(),
    "two objects in each other's place": swapped,
    "a foreign object": lambda it: object_of(it, "home/b.txt").with_name("ffffff").write_bytes(b"x"),
    "a foreign file": lambda it: (it.folder / "foreign").write_bytes(b"x"),
    "a foreign file in the manifest": lambda it: (it.folder / "manifest/000009.gpg").write_bytes(b"x"),
    "a name that shows nothing of ours": lambda it: (it.folder / "files/foreign").write_bytes(b"x"),
    "a name that shows another file": lambda it: replaced(it.folder / "files/home/b.txt"),
    "a name that is a link": lambda it: (it.folder / "files/link").symlink_to("/etc/passwd"),
    "a segment with a bit flipped": lambda it: flipped(it.folder / "manifest/000001.age"),
    "a segment that was cut off": lambda it: os.truncate(it.folder / "manifest/000001.age", 300),
    "a segment that is missing": lambda it: (it.folder / "manifest/000001.age").unlink(),
    "seals that were cut off": lambda it: os.truncate(it.folder / "manifest/000001.seals", 80),
    "seals that are missing": lambda it: (it.folder / "manifest/000001.seals").unlink(),
    "a folder that was left unfinished": lambda it: (it.folder / "unfinished").mkdir(),
}
NAMES_DAMAGES: dict[str, Damage] = {
    "a name that shows another object": lambda it: relinked(it, "home/docs/a.txt", "home/b.txt"),
    "a name that is missing": lambda it: (it.folder / "files/home/docs/linked").unlink(),
    "a directory that is missing": lambda it: shutil.rmtree(it.folder / "files/home/docs"),
    "a directory too many": lambda it: (it.folder / "files/home/new").mkdir(),
}


def relinked(it: Site, name: str, to: str) -> None:
    path = it.folder / "files" / name
    path.unlink()
    os.link(object_of(it, to), path)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_without_an_identity_and_with_one(it: Site, damage: str) -> None:
    (it.live / "second").write_bytes(b"2")
    it.stage()
    assert not it.findings()
    assert not it.findings(it.identity)
    DAMAGES[damage](it)
    assert it.findings()
    assert it.findings(it.identity)


@pytest.mark.parametrize("damage", NAMES_DAMAGES)
def test_names_that_are_not_the_manifests_are_found_with_an_identity(it: Site, damage: str) -> None:
    NAMES_DAMAGES[damage](it)
    assert not it.findings()
    assert it.findings(it.identity)


def test_a_wrong_identity_finds_that_nothing_can_be_decrypted(it: Site, other_key: Key) -> None:
    assert len(it.findings(other_key[1])) == 1 + len(objects(it))


def test_large_objects_are_proved_too(it: Site) -> None:
    for number in range(3):
        (it.live / f"large{number}").write_bytes(os.urandom(2 << 20))
    it.stage()
    assert not it.findings()
    flipped(object_of(it, "large1"), 1 << 20)
    object_of(it, "large2").unlink()
    assert len(it.findings()) == len(it.findings(it.identity)) == 2


def test_verifying_counts_what_it_looked_at(it: Site) -> None:
    said = verified(it.folder, None, nobody)
    assert (said.snapshots, said.objects, said.unread) == (1, 3, 0)
    assert said.bytes == sum(each.stat().st_size for each in objects(it))


def test_a_copy_without_links_is_whole_too(it: Site) -> None:
    copied(it.folder, it.top / "copy", "-r")
    for identity in (None, it.identity):
        assert not verified(it.top / "copy", identity, nobody).findings


# The way out, without us


def test_stock_gpg_decrypts_every_name_and_the_manifest(gnupg: Gnupg) -> None:
    key = judged([gnupg.public("alice", "bob")]), recognised(gnupg.secret("alice"))
    with site(*key) as it:
        populate(it)
        it.stage()
        (it.live / "home/large").write_bytes(os.urandom(5 << 20))
        (it.live / "home/docs").rename(it.live / "papers")
        it.stage()
        for path in (it.folder / "files").rglob("*"):
            if path.is_file():
                same = it.live / path.relative_to(it.folder / "files")
                assert gnupg.gpg("--decrypt", str(path)) == same.read_bytes()
        segment = gnupg.gpg("--decrypt", str(it.folder / "manifest/000002.gpg"))
        assert b'"papers"' in subprocess.run(["zcat"], input=segment, capture_output=True, check=True).stdout
        it.assert_same()
