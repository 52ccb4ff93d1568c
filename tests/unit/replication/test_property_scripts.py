"""zfs_properties.sh and zfs_set.sh, run by the real `sh` with a `zfs` that says what it is told to; how it is read."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from tests.fakes.zfs_world import ZfsHost

from ec2zfs.errors import CommandFailed
from ec2zfs.hosts.host import Command, Result
from ec2zfs.model.properties import Setting
from ec2zfs.plan.replication_steps import KeepProperties
from ec2zfs.tools.zfs_properties import Refusal, keep, parse_settings, settings

PRETENDER = r"""#!/bin/sh
{ printf '%s|' "$@"; echo; } >>"$LOG/$$"
case "$*" in
*'name,property,source all'*) cat "$FOLDER/keys"; echo "cannot open 'gone': dataset does not exist" >&2; exit 1 ;;
'get '*) cat "$FOLDER/values"; exit 1 ;;
*refused*) echo "cannot set property for 'x': no
	such property" >&2; exit 1 ;;
esac
"""


class ShellHost(ZfsHost):
    """A host on which the scripts run in the real shell; `calls` are those of `zfs`."""

    def __init__(self, folder: Path) -> None:
        super().__init__("here")
        self.folder, self.log = folder, folder / "log"
        self.log.mkdir()
        (folder / "zfs").write_text(PRETENDER)
        (folder / "zfs").chmod(0o755)

    def run(self, command: Command) -> Result:
        path = f"{self.folder}:{os.environ['PATH']}"
        environment = os.environ | {"PATH": path, "LOG": str(self.log), "FOLDER": str(self.folder)}
        assert isinstance(command.stdin, bytes)
        done = subprocess.run(command.argv, input=command.stdin, env=environment, capture_output=True, check=False)
        if done.returncode not in command.accept:
            raise CommandFailed(self.name, command.argv, done.returncode, done.stderr.decode())
        return Result(done.returncode, done.stdout, done.stderr)

    @property
    def calls(self) -> list[str]:
        """In any order, since they run side by side, and so each process has a file of its own."""
        return sorted(call for each in self.log.iterdir() for call in _lines(each))


def _lines(log: Path) -> list[str]:
    return log.read_text(errors="surrogateescape").split("|\n")[:-1]


@pytest.fixture
def host(tmp_path: Path) -> ShellHost:
    return ShellHost(tmp_path)


def test_what_is_set_is_read_in_two_steps_of_one_execution(host: ShellHost) -> None:
    (host.folder / "keys").write_text(
        "tank\ttype\t-\ntank\tguid\t-\ntank\tatime\tlocal\ntank\ta:b\treceived\ntank/b\ttype\t-\ntank/b\texec\ttemporary\n"
    )
    (host.folder / "values").write_text(
        "tank\ta:b\treceived\t x\ty \ntank\tatime\tlocal\toff\ntank/b\texec\ttemporary\toff\n"
    )
    assert settings(host, ["tank", "tank/b", "gone"]) == {
        "tank": {"a:b": Setting(" x\ty "), "atime": Setting("off")},
        "tank/b": {"exec": Setting(None)},
    }
    words = "get|-Hp|-t|filesystem,volume|-s|local,received,temporary"
    assert host.calls == [
        f"{words},none|-o|name,property,source|all|tank|tank/b|gone",
        f"{words}|-o|name,property,source,value|a:b,atime,exec|tank|tank/b|gone",
    ]


def test_where_nothing_is_set_no_values_are_asked_for(host: ShellHost) -> None:
    (host.folder / "keys").write_text("tank\ttype\t-\ntank\tguid\t-\n")
    assert settings(host, ["tank"]) == {"tank": {}}
    assert len(host.calls) == 1
    (host.folder / "keys").write_text("")
    assert settings(host, ["gone"]) == {}
    assert settings(host, []) == {}


def test_a_host_without_zfs_is_a_failure_and_not_one_without_properties(host: ShellHost) -> None:
    (host.folder / "zfs").write_text("#!/bin/sh\nexit 255\n")
    with pytest.raises(CommandFailed):
        settings(host, ["tank"])


@pytest.mark.parametrize(
    ("keys", "values", "found"),
    [
        ("t\ttype\t-\nt\ta:b\tlocal", "t\ta:b\tlocal\t\n", {"t": {"a:b": Setting("")}}),
        ("t\ttype\t-\nt\ta:b\tlocal", "t\ta:b\tlocal\tx\u2028\x0b\r\n", {"t": {"a:b": Setting("x\u2028\x0b\r")}}),
        ("t\ttype\t-\nt\ta:b\tlocal", "", {}),
        ("t\ttype\t-", "", {"t": {}}),
        ("", "", {}),
    ],
)
def test_what_the_script_prints_is_read_as_it_is(keys: str, values: str, found: object) -> None:
    assert parse_settings(f"{keys}\n\n{values}") == found


@pytest.mark.parametrize(
    "value", ["x\ny", "\n", "x\n\ny", "x\nt\tatime\tlocal\ton", "x\nt\texec\tlocal\ton", "a\n\tb\tc\td"]
)
def test_a_value_that_is_broken_over_lines_is_no_value_and_gives_none_to_others(value: str) -> None:
    keys = "t\ttype\t-\nt\ta:b\tlocal\nt\tatime\tlocal"
    found = parse_settings(f"{keys}\n\nt\ta:b\tlocal\t{value}\nt\tatime\tlocal\toff\n")["t"]
    assert "line breaks" in found["a:b"].fault
    assert found["atime"].value in ("off", None)
    assert found.keys() == {"a:b", "atime"}


def test_all_that_a_copy_is_given_is_set_at_once_and_each_word_arrives_as_it_is(host: ShellHost) -> None:
    given = (("compression", "lz4"), ("ec2zfs:property:a:b", " -rf\t*'\"$(x) ünï\udcff "), ("ec2zfs:property:c:d", ""))
    changes = [
        KeepProperties("cloud/my files", given, ("atime", "xattr")),
        KeepProperties("cloud/b", (("atime", "on"),)),
    ]
    assert keep(host, changes) == []
    assert host.calls == [
        "inherit|atime|cloud/my files",
        "inherit|xattr|cloud/my files",
        "set|atime=on|cloud/b",
        "set|compression=lz4|ec2zfs:property:a:b= -rf\t*'\"$(x) ünï\udcff |ec2zfs:property:c:d=|cloud/my files",
    ]


def test_what_is_refused_is_told_and_the_rest_is_set_one_by_one(host: ShellHost) -> None:
    change = KeepProperties("cloud/b", (("atime", "on"), ("dnodesize", "refused"), ("xattr", "sa")), ("refused:a",))
    words = "cannot set property for 'x': no  such property"
    assert keep(host, [change]) == [Refusal("cloud/b", "dnodesize", words), Refusal("cloud/b", "refused:a", words)]
    assert host.calls == [
        "inherit|refused:a|cloud/b",
        "set|atime=on|cloud/b",
        "set|atime=on|dnodesize=refused|xattr=sa|cloud/b",
        "set|dnodesize=refused|cloud/b",
        "set|xattr=sa|cloud/b",
    ]


def test_no_command_line_gets_too_long(host: ShellHost) -> None:
    given = tuple((f"ec2zfs:property:{'n' * 237}:{number}", "v" * 8191) for number in range(10, 40))
    keep(host, [KeepProperties("cloud/b", given)])
    assert sorted(call.count("=") for call in host.calls) == [6, 8, 8, 8]
    assert sorted(word for call in host.calls for word in call.split("|")[1:-1]) == [
        f"{name}={value}" for name, value in given
    ]


def test_nothing_to_change_is_no_execution(host: ShellHost) -> None:
    assert keep(host, []) == []
    assert host.calls == []
