"""This machine through sudo, which a script plays here, and how marked commands are ended."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ec2zfs.errors import CommandFailed, CommandTimeout, MissingTool
from ec2zfs.hosts import job
from ec2zfs.hosts.host import Command
from ec2zfs.hosts.local import LocalHost

ROOT = LocalHost("site", sudo=True)


@pytest.fixture
def sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sudo that, like the real one, clears the environment and cannot be killed by a signal of ours."""
    program = tmp_path / "sudo"
    program.write_text(
        f'#!/bin/sh\n[ "$1 $2" = "-n --" ] || exit 99\nshift 2\nexec env -i PATH={tmp_path}:$PATH setsid --wait "$@"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return program


@pytest.mark.usefixtures("sudo")
def test_every_command_runs_behind_sudo_in_the_c_locale() -> None:
    assert ROOT.run(Command.of("printenv", "LC_ALL")).text == "C\n"


@pytest.mark.usefixtures("sudo")
def test_a_missing_program_behind_sudo() -> None:
    with pytest.raises(MissingTool, match="site has no program `no-such-program`"):
        ROOT.run(Command.of("no-such-program"))


@pytest.mark.usefixtures("sudo")
def test_a_time_limit_ends_what_sudo_started() -> None:
    with pytest.raises(CommandTimeout):
        ROOT.run(Command.of("sh", "-c", "sleep 75.25 & sleep 75.25; true", timeout=0.5))
    left = subprocess.run(["pgrep", "-fx", "sleep 75.25"], check=False, stdout=subprocess.DEVNULL)
    assert left.returncode == 1


def test_without_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ec2zfs.hosts.process.SBIN", ())
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingTool, match="site has no program `sudo`"):
        ROOT.run(Command.of("true"))


def test_a_path_that_we_may_not_search_has_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "zfs").write_text("not executable, which is all that exec sees of a directory it may not search")
    monkeypatch.setattr("ec2zfs.hosts.process.SBIN", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingTool, match="localhost has no program `zfs`"):
        LocalHost().run(Command.of("zfs"))


def test_a_file_that_is_no_program(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no program")
    with pytest.raises(CommandFailed, match="Permission denied") as caught:
        LocalHost().run(Command.of(str(tmp_path / "text")))
    assert caught.value.status == 126


def test_only_what_bears_a_mark_can_be_ended_by_it() -> None:
    mark = job.new_mark()
    ending = job.ending(job.as_root(("zfs", "list"), mark))
    assert ending is not None
    assert ending[-1] == mark.removeprefix("EC2ZFS_JOB=")
    assert job.ending(("zfs", "list")) is None
    assert job.new_mark() != mark


LITTER = """
echo 97 >/proc/sys/kernel/ns_last_pid
export EC2ZFS_JOB=0123456789abcdef
sh -c 'trap "exit 1" TERM; echo "$$ waits"; sleep 30; echo "went on"' &
sleep 0.3
for one in $(seq 200); do sleep 30 & done
unset EC2ZFS_JOB
"$@"
wait
"""


def test_a_script_is_told_to_end_before_what_it_waits_for() -> None:
    """Its number is below all the others, and its name in /proc comes after them; 200 widen the gap between."""
    ending = job.ending(("EC2ZFS_JOB=0123456789abcdef",))
    assert ending is not None
    apart = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "sh", "-c", LITTER, "sh")
    ended = subprocess.run([*apart, *ending], check=True, timeout=60, capture_output=True)
    assert ended.stdout == b"98 waits\n"
