"""The argv that is built for `zfs`, and what is read from what it prints."""

from __future__ import annotations

import pytest
from tests.fakes.zfs_world import ZfsHost

from ec2zfs.errors import CommandFailed, Ec2zfsError
from ec2zfs.model.replication import Replica
from ec2zfs.model.send_flags import SendFlags
from ec2zfs.model.snapshot import Bookmark, Dataset, DatasetKind, ResumeToken, Snapshot
from ec2zfs.plan.replication_steps import Full, Incremental, Resume, Transfer
from ec2zfs.tools.zfs import missing_datasets, parse_datasets, with_history
from ec2zfs.tools.zfs_holds import with_keepers
from ec2zfs.tools.zfs_streams import (
    busy,
    decoded,
    meaning,
    parse_sizes,
    parse_token,
    receive_command,
    send_command,
)

HOME = Replica("tank/home", "cloud/tank/home")
SEALED = Replica("tank/sealed", "cloud/tank/sealed", flags=SendFlags.RAW)
DISK = Replica("tank/disk", "cloud/tank/disk", DatasetKind.VOLUME)
BELOW = Replica("tank/sealed/disk", "cloud/tank/sealed/disk", DatasetKind.VOLUME, below_raw=True)
A, B = Snapshot("tank/home", "a", 10, 1), Snapshot("tank/home", "b b", 11, 2)
S = Snapshot("tank/sealed", "a", 20, 1)
MARK = Bookmark("tank/home", "mark", 10, 1)
TOKEN = ResumeToken("1-de-ad-beef")
DISK_OPTIONS = "zfs receive -s -u -o readonly=on -o volmode=none"
PLAIN_OPTIONS = "zfs receive -s -u -o readonly=on -o canmount=noauto -x mountpoint -x sharenfs -x sharesmb"


@pytest.mark.parametrize(
    ("transfer", "argv"),
    [
        (Full(HOME, A), "zfs send -L -e -c tank/home@a"),
        (Incremental(HOME, A, B), "zfs send -L -e -c -i tank/home@a|tank/home@b b"),
        (Incremental(HOME, MARK, B), "zfs send -L -e -c -i tank/home#mark|tank/home@b b"),
        (Full(SEALED, S), "zfs send -w tank/sealed@a"),
        (Incremental(SEALED, MARK, S), "zfs send -w -i tank/home#mark tank/sealed@a"),
        (Resume(HOME, None, A, TOKEN), "zfs send -t 1-de-ad-beef"),
    ],
)
def test_send(transfer: Transfer, argv: str) -> None:
    words = argv.split("|")
    expected = (*words[0].split(), *words[1:])
    command = send_command(transfer)
    assert command.argv == expected
    assert command.timeout is None


@pytest.mark.parametrize(
    ("transfer", "argv"),
    [
        (
            Full(HOME, A),
            f"{PLAIN_OPTIONS} -o ec2zfs:send=-L_-e_-c cloud/tank/home",
        ),
        (Full(DISK, A), "zfs receive -s -u -o readonly=on -o volmode=none -o ec2zfs:send=-L_-e_-c cloud/tank/disk"),
        (Full(SEALED, S), f"{PLAIN_OPTIONS} -o ec2zfs:send=-w cloud/tank/sealed"),
        (Incremental(HOME, A, B), f"{PLAIN_OPTIONS} cloud/tank/home"),
        (Full(BELOW, A), f"{DISK_OPTIONS} -o ec2zfs:send=-L_-e_-c -o encryption=off cloud/tank/sealed/disk"),
        (Incremental(BELOW, A, B), "zfs receive -s -u -o readonly=on -o volmode=none cloud/tank/sealed/disk"),
        (Resume(BELOW, None, A, TOKEN), f"{DISK_OPTIONS} -o ec2zfs:send=-L_-e_-c cloud/tank/sealed/disk"),
        (Resume(BELOW, A, B, TOKEN), f"{DISK_OPTIONS} cloud/tank/sealed/disk"),
    ],
)
def test_receive_never_forces_mounts_or_shares(transfer: Transfer, argv: str) -> None:
    assert receive_command(transfer).argv == tuple(word.replace("_", " ") for word in argv.split())


def test_datasets_and_their_histories_are_read() -> None:
    rows = [
        "tank\tfilesystem\t17227428384186432034\toff\t24576\t-\t-\t-",
        "tank/disk\tvolume\t6\toff\t0\t-\tcloud\t-L -e -c",
        "tank/my files\tfilesystem\t7\taes-256-gcm\t-\t1-c0ffee-e8-789c\tother,cloud\t-w",
    ]
    history = [
        "tank/my files@newer\t72\t99",
        "tank/my files@ec2zfs_2026-11-23T02:17:00Z_daily\t71\t40",
        "tank/my files#ec2zfs_cloud_0000000000000047\t71\t40",
        "tank/vanished@x\t1\t1",
    ]
    tank, disk, mine = with_history(parse_datasets(rows), history)
    assert tank == Dataset("tank", 17227428384186432034, encrypted=False, written=24576)
    assert disk.kind is DatasetKind.VOLUME
    assert [each.send for each in (tank, disk, mine)] == ["", "-L -e -c", "-w"]
    assert [each.held_for for each in (tank, disk, mine)] == [(), ("cloud",), ("other", "cloud")]
    assert [snap.name for snap in mine.snapshots] == ["ec2zfs_2026-11-23T02:17:00Z_daily", "newer"]
    assert mine.bookmarks == (Bookmark("tank/my files", "ec2zfs_cloud_0000000000000047", 71, 40),)
    assert (mine.encrypted, mine.written, mine.partial) == (True, 0, ResumeToken("1-c0ffee-e8-789c"))


def test_sizes_are_read_stream_by_stream() -> None:
    printed = """\
stream
full\ttank/home@a\t624
size\t624
stream
stream
resume token contents:
nvlist version: 0
\tobject = 0x1
incremental\ta\ttank/home@b\t13312
size\t13312
"""
    assert parse_sizes(printed.splitlines()) == (624, None, 13312)


ZSTREAM = """\
resume token contents:
nvlist version: 0
\tfromguid = 0xd2a1
\tobject = 0x2
\toffset = 0x1a0000
\tbytes = 0x1a3b58
\ttoguid = 0xcafe
\ttoname = tank/home@b b
\tcompressok = 1
\tlargeblockok = 1
"""
DUMPED = """\
     object: 2
     offset: 1703936
     bytes: 1719128
     toguid: 51966
     toname: 'tank/home@b b'
     compressok
     rawok
"""


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        (ZSTREAM, ResumeToken("t", 0xCAFE, "tank/home@b b", 0xD2A1)),
        (DUMPED, ResumeToken("t", 0xCAFE, "tank/home@b b", 0, raw=True)),
        ("Unable to parse resume token: corrupt", ResumeToken("t", foreign="its token cannot be decoded")),
        ("", ResumeToken("t", foreign="its token cannot be decoded")),
    ],
)
def test_tokens_are_read(printed: str, expected: ResumeToken) -> None:
    assert parse_token("t", printed.splitlines()) == expected


def test_a_token_with_contents_that_we_never_send_is_foreign() -> None:
    token = parse_token("t", [*ZSTREAM.splitlines(), "\tredact_snaps = 0x1"])
    assert "redact_snaps" in token.foreign


@pytest.mark.parametrize(
    ("lines", "foreign"),
    [
        (ZSTREAM, ""),
        (ZSTREAM + "\tembedok = 1\n", ""),
        (ZSTREAM.replace("\tlargeblockok = 1\n", ""), ""),
        (ZSTREAM.replace("\tcompressok = 1\n", ""), "lacks compressok"),
        (DUMPED, ""),
        (DUMPED + "     largeblockok\n", ""),
        (DUMPED + "     embedok\n", "raw with embedok"),
    ],
)
def test_a_token_has_the_flags_of_a_stream_of_ours(lines: str, foreign: str) -> None:
    told = parse_token("t", lines.splitlines()).foreign
    assert foreign in told
    assert bool(foreign) == bool(told)


@pytest.mark.parametrize("text", ["-V", "tank/home@a", "1-2-3", "$(reboot)", "1-2-3-4 -v"])
def test_what_is_no_token_never_becomes_an_argument(text: str) -> None:
    site = ZfsHost("site")
    assert decoded(site, ResumeToken(text)).foreign
    assert not site.commands


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ("cannot receive new filesystem stream: out of space", "NoSpace", "is full"),
        ("cannot receive: destination cloud/tank/home space quota exceeded.", "NoSpace", "is full"),
        (
            "cannot receive incremental stream: destination cloud/tank has been modified\nsince most recent snapshot",
            "ReplicationConflict",
            "has been modified",
        ),
        (
            "cannot receive incremental stream: most recent snapshot of cloud/tank does not\nmatch incremental source",
            "ReplicationConflict",
            "does not take tank/home",
        ),
        ("internal error: warning: cannot send 'tank/home@a': Input/output error", "CommandFailed", "Input/output"),
    ],
)
def test_failures_of_a_stream_have_a_meaning(said: str, kind: str, words: str) -> None:
    told: Ec2zfsError = meaning(CommandFailed("receiver", ("zfs", "receive"), 1, said), HOME)
    assert type(told).__name__ == kind
    assert words in told.message


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("cannot receive incremental stream: dataset is busy", True),
        ("cannot receive resume stream: destination cloud/tank/home is busy", True),
        (
            'cannot receive resume stream: x contains partially-complete state from "zfs receive -s".',
            True,
        ),
        (
            'cannot receive incremental stream: x contains partially-complete state from "zfs receive -s".',
            False,
        ),
        ("cannot receive new filesystem stream: out of space", False),
        ("cannot open 'tank/busybox': dataset does not exist", False),
    ],
)
def test_a_busy_target_is_told_apart(said: str, expected: bool) -> None:
    assert busy(CommandFailed("receiver", ("zfs", "receive"), 1, said)) is expected


def test_missing_datasets_are_named() -> None:
    said = "cannot open 'tank/no such': dataset does not exist\ncannot open 'pond': no such pool\n"
    assert missing_datasets(CommandFailed("site", ("zfs", "list"), 1, said)) == ("tank/no such", "pond")


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("cannot destroy snapshot tank@a: it's being held. Run 'zfs holds -r tank@a' to see holders.", True),
        ("cannot destroy snapshot tank@a: dataset is busy", True),
        ("cannot destroy 'tank@a': snapshot has dependent clones\nuse '-R' to destroy …", True),
        ("cannot destroy snapshot tank@a: snapshot is cloned", True),
        ("cannot destroy snapshot tank@busybox: permission denied", False),
        ("could not find any snapshots to destroy; check snapshot names.", False),
    ],
)
def test_holders_are_asked_for_only_where_zfs_says_that_something_is_in_the_way(said: str, asked: bool) -> None:
    site = ZfsHost("site")
    site.zfs.create("tank")
    site.zfs.snapshot("tank", "a")
    site.zfs.hold("mine", ["tank@a"])
    error = CommandFailed("site", ("zfs", "destroy"), 1, said)
    told = with_keepers(site, error, "tank@a")
    assert (told is not error, bool(site.commands)) == (asked, asked)
    assert told.hint.startswith("tank@a is held by `mine` since ") is asked
