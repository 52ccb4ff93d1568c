"""The command line as a whole: how it starts, and how a command that ends in any way is told and numbered."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from ec2zfs import __version__
from ec2zfs.cli import VERBS, main, parser
from ec2zfs.cli.ending import run_to_its_end
from ec2zfs.cli.reference import meaning, reference, subparsers
from ec2zfs.errors import CloudError, Ec2zfsError, ExitCode, HostKeyChanged, NoCapacity, Refused

HEAVY = {
    "pydantic",
    "boto3",
    "botocore",
    "rich",
    "cryptography",
    "moto",
    "logging",
    "subprocess",
    "typing",
    "dataclasses",
}

IMPORTED = """
import sys
from ec2zfs.cli import VERBS, main, parser
try:
    main(sys.argv[1:])
finally:
    print(*sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_what_only_prints_imports_nothing_heavy(option: str) -> None:
    ran = subprocess.run([sys.executable, "-I", "-c", IMPORTED, option], capture_output=True, text=True, check=True)
    assert not HEAVY & set(ran.stderr.split())


def test_the_list_of_verbs_says_what_the_verbs_say() -> None:
    """The list stands apart so that a start need not import the verbs."""
    told = {verb.prog.removeprefix("ec2zfs "): verb.description for verb in subparsers(parser())}
    assert told == {name: f"{summary[0].upper()}{summary[1:]}." for name, summary in VERBS.items()}


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"ec2zfs {__version__}\n"


@pytest.mark.parametrize("argv", [[], ["frobnicate"], ["init", "--frobnicate"], ["init", "--conf", "x"]])
def test_a_wrong_command_line_ends_with_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(argv)
    assert "usage: ec2zfs" in capsys.readouterr().err


def ended(handler: Callable[[argparse.Namespace], int], *, as_json: bool = False, verbose: bool = False) -> int:
    return run_to_its_end(argparse.Namespace(handler=handler, json=as_json, verbose=verbose))


def raising(error: BaseException) -> Callable[[argparse.Namespace], int]:
    def handler(_arguments: argparse.Namespace) -> int:
        raise error

    return handler


ENDINGS = [
    (Refused("It holds data.", hint="Look first."), 9, "ec2zfs: It holds data. Look first.\n"),
    (
        NoCapacity("There is no m7g.medium.", code="InsufficientInstanceCapacity"),
        5,
        "ec2zfs: There is no m7g.medium.\n",
    ),
    (HostKeyChanged("The key changed."), 7, "ec2zfs: The key changed.\n"),
    (KeyboardInterrupt(), 130, "ec2zfs: Interrupted. Run the command again to carry on from where it was.\n"),
]


@pytest.mark.parametrize(("error", "code", "said"), ENDINGS)
def test_a_failure_is_a_sentence_and_a_code(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(raising(error)) == code
    assert capsys.readouterr() == ("", said)


def test_a_failure_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(raising(CloudError("No.", hint="Why not?")), as_json=True) == 5
    out, err = capsys.readouterr()
    assert out == ""
    assert json.loads(err) == {
        "event": "error",
        "error": "CloudError",
        "message": "No.",
        "hint": "Why not?",
        "notes": [],
        "exit_code": 5,
    }


def test_success_says_nothing_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(lambda _arguments: 0) == 0
    assert capsys.readouterr() == ("", "")


def test_a_bug_is_called_one_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(raising(ZeroDivisionError("oops"))) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "ec2zfs: This is a bug in ec2zfs: ZeroDivisionError: oops" in err


def test_verbose_shows_where_a_failure_came_from(capsys: pytest.CaptureFixture[str]) -> None:
    ended(raising(Refused("No.")), verbose=True)
    assert "Traceback" in capsys.readouterr().err


def test_init_writes_a_sample_that_only_its_owner_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new" / "ec2zfs.toml"
    assert main(["init", str(path)]) == 0
    assert tomllib.loads(path.read_text())["pool"]["name"] == "cloud"
    assert path.stat().st_mode & 0o777 == 0o600
    assert str(path) in capsys.readouterr().out


def test_init_never_overwrites(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "ec2zfs.toml"
    path.write_text("mine")
    assert main(["init", str(path)]) == ExitCode.REFUSED
    assert path.read_text() == "mine"
    assert "exists already" in capsys.readouterr().err


WHERE = [
    ({"XDG_CONFIG_HOME": ""}, 0, [], "/etc/ec2zfs/ec2zfs.toml"),
    ({"XDG_CONFIG_HOME": "/x"}, 1000, [], "/x/ec2zfs/ec2zfs.toml"),
    ({"XDG_CONFIG_HOME": "", "HOME": "/h"}, 1000, [], "/h/.config/ec2zfs/ec2zfs.toml"),
    ({"EC2ZFS_CONFIG": "/e.toml"}, 0, [], "/e.toml"),
    ({"EC2ZFS_CONFIG": "/e.toml"}, 0, ["--config", "/c.toml"], "/c.toml"),
]


@pytest.mark.parametrize(("environment", "user", "options", "path"), WHERE)
def test_where_the_configuration_is(
    environment: dict[str, str], user: int, options: list[str], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ec2zfs.cli.places import configuration_path

    monkeypatch.delenv("EC2ZFS_CONFIG", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("os.geteuid", lambda: user)
    given = options[1] if options else None
    assert str(configuration_path(given)) == path


@pytest.mark.parametrize("argv", [["--json", "init"], ["init", "--json"]])
def test_options_may_stand_before_or_after_the_verb(
    argv: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*argv, str(tmp_path / "x.toml")]) == 0
    events = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert events == ["configuration", "message"]


def test_every_exit_code_is_explained() -> None:
    assert all(meaning(code) for code in ExitCode)
    assert all(kind.exit_code in ExitCode for kind in Ec2zfsError.__subclasses__())


def test_the_reference_in_the_documentation_is_current() -> None:
    page = Path(__file__).parents[3] / "docs" / "reference.md"
    assert page.read_text() == reference(), "write it again: .venv/bin/python -m ec2zfs.cli.reference docs"
