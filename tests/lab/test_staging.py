"""Staging on real ZFS, by the program as it runs on the site: what is staged decrypts to the source's snapshots."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
from tests.lab.installed import CONFIGURATION, Installed, install
from tests.lab.zfs_ends import ATTRIBUTES, AWKWARD, KEY, TREE_DIGEST, Ends

from ec2zfs.errors import CommandFailed
from ec2zfs.hosts.host import Command
from ec2zfs.model.hold import STAGING

MARKER = "a sentence that must stand nowhere in the staging pool"
VAULT = "rcloud/vault"
EDITED, EDITIONS, SEED = 20, 10, 2101782684
"""The same edits each time, as with all random tests here; it was with this seed that a defect was found."""

KEYS = """\
set -eu
export GNUPGHOME=/root/.gnupg
mkdir -p -m 700 "$GNUPGHOME"
gpg --batch --quiet --pinentry-mode loopback --passphrase '' --quick-gen-key staging future-default default never
gpg --armor --export staging > /root/recipient.asc
"""

SMALLER = """\
set -eu
cd "$1"
rm hole
truncate -s 64M hole
printf end >> hole
"""
"""A gibibyte of nothing is encrypted too, which takes an emulated processor long."""

SEARCH = b"""\
import os, sys
words, piece, end = os.fsencode(sys.argv[1]), 1 << 20, 0
with open(sys.argv[2], "rb", buffering=0) as file:
    there = 0
    while not there and os.fstat(file.fileno()).st_size > end:
        try:
            begin = os.lseek(file.fileno(), end, os.SEEK_DATA)
        except OSError:
            break
        end = os.lseek(file.fileno(), begin, os.SEEK_HOLE)
        before = b""
        for at in range(begin, end, piece):
            data = os.pread(file.fileno(), min(piece, end - at), at)
            there |= words in before + data
            before = data[-len(words):]
print("found" if there else "absent")
"""
"""Looks through what is no hole of a file: `grep` would take gigabytes without a newline for one line."""
LABELLED = "vdev_tree"
"""Stands in every label of a pool: so the search can find."""

EDITS = """\
set -eu
cd "$1"
mv deep elsewhere
mv 'ünï ☃ 100%.txt' random2
ln random2 'another name'
rm -- -rf
rm fifo
mkdir fifo
printf 'in its place' > fifo/file
printf more >> random
truncate -s 100 elsewhere/er/est/numbers
chmod 600 hole
ln -sfn elsewhere dangling
touch -d '2001-02-03 04:05:06.123456789' .
"""


@dataclass(frozen=True)
class Site:
    """The site with the program, and a source that is staged."""

    ends: Ends
    ec2zfs: Installed
    source: str

    @property
    def folder(self) -> str:
        return f"/mnt/vault/{self.source.replace('/', '%')}"

    def stage(self, *words: str) -> list[Mapping[str, object]]:
        """The snapshots that were staged."""
        rows = next(each["rows"] for each in self.ec2zfs("stage", *words) if each["event"] == "snapshots_staged")
        assert isinstance(rows, list)
        return rows

    def snapshot(self, name: str) -> None:
        self.ends.zfs("snapshot", f"{self.source}@{name}")

    def require_equal(self, name: str) -> None:
        """Restore the staged snapshot, and compare all there is about it with the source's."""
        target = f"/mnt/rsite/restored-{name}"
        self.ec2zfs("restore", "files", "--dataset", self.source, "--at", name, "--identity", "gpg", "--to", target)
        there = self.ends.sh(TREE_DIGEST, target, ATTRIBUTES)
        assert there == self.ends.sh(TREE_DIGEST, f"/mnt/{self.source}/.zfs/snapshot/{name}", ATTRIBUTES)
        self.ends.sh('rm -rf "$1"', target)

    def staged(self) -> list[str]:
        names = self.ends.zfs("list", "-H", "-d", "1", "-t", "snapshot", "-o", "name", f"{VAULT}/{self.source}")
        return [name.partition("@")[2] for name in names]


@pytest.fixture(scope="module")
def ec2zfs(ends: Ends) -> Iterator[Installed]:
    ends.zfs("create", "-o", "mountpoint=/mnt/vault", VAULT)
    ends.sh(KEYS)
    yield install(ends.site)
    ends.sh("rm -rf /root/staging-state /root/.gnupg /root/recipient.asc")


@pytest.fixture
def site(ends: Ends, ec2zfs: Installed, request: pytest.FixtureRequest) -> Site:
    source = f"rsite/{request.node.name.removeprefix('test_')[:30]}"
    ends.zfs("create", "-o", "acltype=posix", source)
    ends.sh(AWKWARD, f"/mnt/{source}")
    ends.sh(SMALLER, f"/mnt/{source}")
    ends.sh('printf "%s\\n" "$2" > "$1/marked"', f"/mnt/{source}", MARKER)
    ec2zfs.configure(CONFIGURATION.format(source=source, vault=VAULT))
    found = Site(ends, ec2zfs, source)
    found.snapshot("first")
    return found


def test_whatever_a_file_server_holds(site: Site) -> None:
    (row,) = site.stage()
    assert row["unread"] == 0
    site.require_equal("first")
    site.ends.sh(EDITS, f"/mnt/{site.source}")
    site.snapshot("second")
    (row,) = site.stage()
    # zfs diff tells of a file that was renamed and linked by its old name alone (OpenZFS 2.3.2).
    assert (row["missed_by_it"], row["moved"]) == (2, 3)
    assert row["unread"] == 0
    assert isinstance(row["files_encrypted"], int)
    assert row["files_encrypted"] <= 4, "a rename encrypts nothing"
    site.require_equal("second")
    site.ec2zfs("stage", "verify")
    site.ec2zfs("stage", "verify", "--identity", "gpg")
    # the escape hatch: no more than gpg
    site.ends.sh(
        'gpg --batch --quiet --decrypt "$1/files/random" | cmp - "$2/random"', site.folder, f"/mnt/{site.source}"
    )
    site.ends.sh("zpool sync rcloud")
    for words, wanted in ((MARKER, "absent"), (LABELLED, "found")):
        search = Command.of("python3", "-", words, "/var/tmp/replication/rcloud", stdin=SEARCH, timeout=600.0)
        assert site.ends.site.run(search).text.strip() == wanted, words
    mode, owner = site.ends.sh('stat -c "%a %u" "$1"', site.folder).split()
    assert (mode, owner) == ("700", "0")


def test_hundreds_of_random_edits(ends: Ends, ec2zfs: Installed) -> None:
    """See random_edits.py."""
    ends.zfs("create", "rsite/edits")
    numbers = map(str, (EDITED, EDITIONS, SEED))
    command = ec2zfs.python("-m", "tests.lab.random_edits", "rsite/edits", *numbers)
    told = json.loads(ends.site.run(command).lines()[-1])
    print(command.argv, told)
    assert told["wrong"] == []
    assert told["compared"] == EDITED * EDITIONS
    assert min(told["entries"], told["moved"], told["removed"]) > EDITIONS, "much was edited"


def test_killed_at_any_moment(site: Site) -> None:
    site.stage()
    site.ends.sh(EDITS, f"/mnt/{site.source}")
    site.ends.sh(
        'i=0; while [ $i -lt 150 ]; do head -c 20000 /dev/urandom > "$1/many$i"; i=$((i+1)); done',
        f"/mnt/{site.source}",
    )
    site.snapshot("second")
    command = site.ec2zfs.command("stage")
    for seconds in ("10", "20", "35"):
        words = ("timeout", "-s", "KILL", seconds, *command.argv)
        site.ends.site.run(Command(words, timeout=900.0, accept=frozenset({0, 124, 137, -9})))
    site.stage()
    assert site.staged() == ["first", "second"]
    site.require_equal("second")
    site.ec2zfs("stage", "verify", "--identity", "gpg")
    assert site.ends.value(f"{VAULT}/{site.source}", "ec2zfs:staging") == "-"


def test_the_base_is_held_and_a_pool_that_was_away_is_no_conflict(site: Site) -> None:
    site.stage()
    with pytest.raises(CommandFailed, match="it's being held"):
        site.ends.zfs("destroy", f"{site.source}@first")
    site.ends.sh("zpool export rcloud; zpool import -d /var/tmp/replication -o cachefile=none rcloud; zfs mount -a")
    site.snapshot("second")
    assert [row["snapshot"] for row in site.stage()] == [f"{site.source}@second"]
    site.ends.zfs("destroy", f"{site.source}@first")
    site.ends.sh('rm -rf "$1/files"', site.folder)
    site.snapshot("third")
    assert "was changed by somebody" in site.ec2zfs.refusal("stage")
    site.ends.zfs("rollback", f"{VAULT}/{site.source}@second")
    site.stage("--again")
    site.require_equal("third")
    site.ends.zfs("release", STAGING, f"{site.source}@third")
    site.ends.zfs("destroy", f"{site.source}@third")
    site.ends.sh('mv "$1/random" "$1/deep/"; echo more >>"$1/marked"', f"/mnt/{site.source}")
    site.snapshot("fourth")
    (row,) = site.stage()
    assert row["files_encrypted"] == 2, "what changed, and what moved: nothing is left to compare that with"
    site.require_equal("fourth")


def test_what_cannot_be_read_is_said(site: Site) -> None:
    for change, back, words in (
        ("mountpoint=legacy", f"mountpoint=/mnt/{site.source}", "its mountpoint is legacy"),
        ("canmount=noauto", "canmount=on", "it is not mounted"),
    ):
        site.ends.zfs("set", change, site.source)
        site.ends.sh('zfs unmount "$1" 2>/dev/null || true', site.source)
        assert words in site.ec2zfs.refusal("stage")
        site.ends.zfs("set", back, site.source)
        site.ends.sh('zfs mount "$1" 2>/dev/null || true', site.source)
    sealed = f"{site.source}/sealed"
    options = ("-o", "encryption=on", "-o", "keyformat=raw", "-o", "keylocation=prompt")
    site.ends.site.run(Command.of("zfs", "create", *options, sealed, stdin=KEY.encode()))
    site.ends.zfs("snapshot", f"{sealed}@first")
    site.ends.zfs("unmount", sealed)
    site.ends.zfs("unload-key", sealed)
    assert "its key is not loaded" in site.ec2zfs.refusal("stage")
    assert site.staged() == ["first"], "the others are staged"
