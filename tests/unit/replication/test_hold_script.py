"""zfs_hold.sh, run by the real `sh` with a `zfs` that writes down how it was called and says what it is told to."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ec2zfs.tools.zfs_scripts import zfs_script

PRETENDER = """#!/bin/sh
line=$(printf '%s|' "$@")
echo "$line" >>"$LOG"
case "$*" in
'holds -Hp') printf "%b" "$OLD" >&2; exit 2 ;;
'get '*) echo "$KNOWN" ;;
'list '*) printf '%b' 'tank@a\\t0\\ntank/my files@b c\\t2\\n' ;;
'holds '*) shift 2; for name; do printf '%s\\tkeep\\t1764200000\\n' "$name"; done ;;
esac
case "$1" in
hold | release | list) [ -z "$SAYS" ] || { printf '%b' "$SAYS" >&2; exit 1; } ;;
esac
"""


class Script:
    """Runs the script; `calls` are those of `zfs`, in order of the alphabet where they run side by side."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        program = folder / "zfs"
        program.write_text(PRETENDER)
        program.chmod(0o755)

    def __call__(
        self, *words: str, names: str = "", known: str = "-", says: str = "", old: str = ""
    ) -> tuple[int, str, list[str]]:
        log = self.folder / "log"
        log.unlink(missing_ok=True)
        path = f"{self.folder}:{os.environ['PATH']}"
        environment = os.environ | {"PATH": path, "LOG": str(log), "KNOWN": known, "SAYS": says, "OLD": old}
        command = zfs_script("zfs_hold.sh", *words)
        done = subprocess.run(command.argv, input=names, env=environment, capture_output=True, check=False, text=True)
        self.err = done.stderr
        return done.returncode, done.stdout, log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path)


GET = "get|-Hp|-o|value|ec2zfs:holds|tank|"


@pytest.mark.parametrize(
    ("known", "change"),
    [("-", ["set|ec2zfs:holds=cloud|tank|"]), ("other", ["set|ec2zfs:holds=other,cloud|tank|"]), ("cloud,other", [])],
)
def test_the_property_is_set_before_the_first_hold(script: Script, known: str, change: list[str]) -> None:
    status, _, calls = script("hold", "cloud", "tank", names="tank@a\ntank/my files@b c\n", known=known)
    assert (status, calls) == (0, [GET, *change, "hold|ec2zfs:cloud|tank@a|tank/my files@b c|"])


@pytest.mark.parametrize(
    ("known", "change"),
    [
        ("cloud", "inherit|ec2zfs:holds|tank|"),
        ("-", "inherit|ec2zfs:holds|tank|"),
        ("other,cloud,cloudy", "set|ec2zfs:holds=other,cloudy|tank|"),
    ],
)
def test_the_property_is_removed_after_the_last(script: Script, known: str, change: str) -> None:
    status, _, calls = script("release", "cloud", "tank", names="tank@a\n", known=known)
    assert (status, calls) == (0, ["release|ec2zfs:cloud|tank@a|", GET, change])


def test_while_something_stays_held_the_property_stays(script: Script) -> None:
    assert script("release", "cloud", names="tank@a\n") == (0, "", ["release|ec2zfs:cloud|tank@a|"])


def test_no_command_line_gets_too_long(script: Script) -> None:
    names = "".join(f"tank@{number}\n" for number in range(1000))
    _, _, calls = script("release", "cloud", names=names)
    assert len(calls) == 20
    assert sorted(word for call in calls for word in call.split("|")[2:-1]) == sorted(names.split())


SO = "cannot hold snapshot 'a@a': tag already exists on this dataset\\ncannot open 'a/b': dataset does not exist\\n"
NOT_SO = "cannot hold snapshot 'tank@c': out of space\\n"


@pytest.mark.parametrize(("says", "status", "told"), [(SO, 0, ""), (SO + NOT_SO, 1, NOT_SO), (NOT_SO, 1, NOT_SO)])
def test_only_what_is_not_so_already_is_a_failure(script: Script, says: str, status: int, told: str) -> None:
    assert script("hold", "cloud", "tank", names="tank@a\n", says=says)[0] == status
    assert script.err == told.replace("\\n", "\n")


def test_the_property_stays_when_a_release_fails(script: Script) -> None:
    status, _, calls = script("release", "cloud", "tank", names="tank@a\n", says="permission denied\\n")
    assert (status, calls) == (1, ["release|ec2zfs:cloud|tank@a|"])


@pytest.mark.parametrize(("old", "how"), [("", "-Hp"), ("invalid option 'p'\\nusage: …\\n", "-H")])
def test_holds_are_asked_for_where_there_are_any(script: Script, old: str, how: str) -> None:
    status, out, calls = script("list", names="tank\ntank/my files\n", old=old)
    assert (status, out) == (0, "tank/my files@b c\tkeep\t1764200000\n")
    assert {*calls} == {
        "holds|-Hp|",
        f"holds|{how}|tank/my files@b c|",
        "list|-Hp|-d|1|-t|snapshot|-o|name,userrefs|tank|tank/my files|",
    }


def test_a_listing_that_fails_is_not_taken_for_an_empty_one(script: Script) -> None:
    assert script("list", names="tank\n", says="internal error: out of memory\\n")[0] == 1
    assert script("list", names="tank/none\n", says="cannot open 'tank/none': dataset does not exist\\n")[0] == 0
