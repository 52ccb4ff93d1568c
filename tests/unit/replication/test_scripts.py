"""The shell scripts, run by the real `sh` with a `zfs` that only writes down how it was called."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from tests.fakes.zfs_world import ZfsHost

from ec2zfs.hosts.host import Command, Result
from ec2zfs.hosts.secret import Secret
from ec2zfs.model.replication import Replica
from ec2zfs.model.snapshot import Snapshot
from ec2zfs.plan.replication_steps import Full, Incremental
from ec2zfs.tools.zfs_scripts import script_text, side_by_side, zfs_script
from ec2zfs.tools.zfs_streams import parse_sizes, sizes

PRETENDER = """#!/bin/sh
called=$(printf '%s|' "$@"; echo .)
printf '%s\\n' "${called%.}" >>"$LOG"  # at once: others write beside it
case "$*" in
*vanished*) echo "cannot open '$3': dataset does not exist" >&2; exit 1 ;;
'list'*'known') exit 0 ;;
'bookmark'*'known') echo 'bookmark exists' >&2; exit 1 ;;
'list'*) exit 1 ;;
'send'*) printf 'full\\t%s\\t77\\nsize\\t77\\n' "$*" ;;
esac
"""


@pytest.fixture
def zfs(tmp_path: Path) -> Path:
    program = tmp_path / "bin" / "zfs"
    program.parent.mkdir()
    program.write_text(PRETENDER)
    program.chmod(0o755)
    return tmp_path


def run(command: Command, zfs: Path) -> tuple[int, list[str], list[str]]:
    log = zfs / "log"
    environment = os.environ | {"PATH": f"{zfs / 'bin'}:{os.environ['PATH']}", "LOG": str(log)}
    stdin = command.stdin or b""
    assert not isinstance(stdin, Secret)
    done = subprocess.run(command.argv, input=stdin, env=environment, capture_output=True, check=False)
    calls = log.read_text().splitlines() if log.exists() else []
    return done.returncode, done.stdout.decode().splitlines(), calls


def sizes_command(*transfers: Full | Incremental) -> Command:
    """The command that `sizes` runs, caught on its way to a host."""
    caught: list[Command] = []

    class Catcher(ZfsHost):
        def run(self, command: Command) -> Result:
            caught.append(command)
            return super().run(command)

    site = Catcher("site")
    site.zfs.create("tank")
    site.zfs.create("tank/my files")
    for dataset, name in (("tank", "a"), ("tank", "b"), ("tank/my files", "a"), ("tank", "vanished")):
        site.zfs.snapshot(dataset, name)
    sizes(site, transfers)
    return caught[0]


def test_sizes_of_all_streams_cost_one_execution(zfs: Path) -> None:
    home, mine = Replica("tank", "cloud/tank"), Replica("tank/my files", "cloud/tank/my files")
    a, b = Snapshot("tank", "a", 1, 1), Snapshot("tank", "b", 2, 2)
    command = sizes_command(
        Full(mine, Snapshot("tank/my files", "a", 3, 3)),
        Full(home, Snapshot("tank", "vanished", 4, 4)),
        Incremental(home, a, b),
    )
    status, printed, calls = run(command, zfs)
    assert (status, parse_sizes(printed)) == (0, (77, None, 77))
    assert calls == [
        "send|-nP|-L|-e|-c|tank/my files@a|",
        "send|-nP|-L|-e|-c|tank@vanished|",
        "send|-nP|-L|-e|-c|-i|tank@a|tank@b|",
    ]


OLD = """#!/bin/sh
called=$(printf '%s|' "$@"; echo .)
printf '%s\\n' "${called%.}" >>"$LOG"
case "$*" in
version) echo zfs-2.1.11-1 ;;
get) printf '  PROPERTY EDIT\\n  type NO\\n  written YES\\n' >&2; exit 2 ;;
*snapshots_changed*) echo "bad property list: invalid property 'snapshots_changed'" >&2; exit 2 ;;
*ec2zfs:holds*) printf 'my pool\\tcloud,attic\\ntank\\t-\\n' ;;
*) printf 'my pool/a\\ttype\\t-\\tfilesystem\\n'; echo "cannot open 'tank/none': dataset does not exist" >&2; exit 1 ;;
esac
"""


def test_one_look_does_without_what_an_old_zfs_does_not_know(zfs: Path) -> None:
    (zfs / "bin" / "zfs").write_text(OLD)
    names = ("my pool/a", "tank/none", "my pool/b")
    status, printed, calls = run(zfs_script("zfs_look.sh", "type,snapshots_changed,ec2zfs:x", "-r", stdin=names), zfs)
    assert (status, printed[1:]) == (
        1,
        [
            "zfs-2.1.11-1",
            "",
            "holds\tmy pool\tcloud,attic",
            "holds\ttank\t-",
            "",
            "my pool/a\ttype\t-\tfilesystem",
        ],
    )
    look = "get|-Hp|-r|-t|filesystem,volume|-s|local,received,temporary,none|-o|name,property,source,value"
    assert calls == [
        "version|",
        "get|-Hp|-o|name,value|ec2zfs:holds|my pool|tank|",
        f"{look}|type,snapshots_changed,ec2zfs:x|my pool/a|tank/none|my pool/b|",
        "get|",
        f"{look}|type,ec2zfs:x|my pool/a|tank/none|my pool/b|",
    ]


def test_copies_are_marked_in_one_execution_and_one_that_fails_keeps_no_other_from_it(zfs: Path) -> None:
    command = zfs_script(
        "zfs_identify.sh", "ec2zfs:source", stdin=["c/my files\t4711", "c/vanished\t1", "c/b\t18446744073709551615"]
    )
    status, _, calls = run(command, zfs)
    assert status == 1
    assert calls == [
        "set|ec2zfs:source=4711|c/my files|",
        "set|ec2zfs:source=1|c/vanished|",
        "set|ec2zfs:source=18446744073709551615|c/b|",
    ]


def test_a_cursor_is_made_and_the_outdated_are_dropped(zfs: Path) -> None:
    status, _, calls = run(zfs_script("zfs_mark.sh", "t/my files@a", "t/my files#ec2zfs_c_2", "t#ec2zfs_c_1"), zfs)
    assert status == 0
    assert calls == ["bookmark|t/my files@a|t/my files#ec2zfs_c_2|", "destroy|t#ec2zfs_c_1|"]


def test_a_cursor_that_stands_is_not_made_again(zfs: Path) -> None:
    status, _, calls = run(zfs_script("zfs_mark.sh", "t@a", "t#ec2zfs_known", "t#ec2zfs_c_1"), zfs)
    assert (status, calls[2:]) == (0, ["destroy|t#ec2zfs_c_1|"])


def test_an_outdated_cursor_that_is_gone_already_is_no_failure(zfs: Path) -> None:
    status, _, _ = run(zfs_script("zfs_mark.sh", "t@a", "t#ec2zfs_c_2", "t#ec2zfs_vanished"), zfs)
    assert status == 0


def test_many_cursors_are_moved_and_one_that_cannot_be_is_told(zfs: Path) -> None:
    items = ["t/my files@a\nt/my files#ec2zfs_c_2\nt#ec2zfs_c_1", "t@vanished\nt#ec2zfs_c_3"]
    command = side_by_side("zfs_marks.sh", script_text("zfs_mark.sh"), items=items, timeout=9.0)
    status, told, calls = run(command, zfs)
    assert (status, told) == (0, ["t@vanished\tcannot open 't#ec2zfs_c_3': dataset does not exist"])
    assert {"bookmark|t/my files@a|t/my files#ec2zfs_c_2|", "destroy|t#ec2zfs_c_1|"} <= {*calls}


def test_without_the_new_cursor_the_old_ones_stay(zfs: Path) -> None:
    status, _, calls = run(zfs_script("zfs_mark.sh", "t@vanished", "t#ec2zfs_c_2", "t#ec2zfs_c_1"), zfs)
    assert status == 1
    assert [call for call in calls if call.startswith("destroy")] == []


@pytest.mark.parametrize("victim", ["t@a", "t", "t#mine", "t#mine_ec2zfs_1"])
def test_nothing_but_our_own_bookmarks_is_ever_destroyed(zfs: Path, victim: str) -> None:
    status, _, calls = run(zfs_script("zfs_mark.sh", "t@a", "t#ec2zfs_known", victim), zfs)
    assert status == 1
    assert [call for call in calls if call.startswith("destroy")] == []
