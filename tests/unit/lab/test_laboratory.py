"""The lab's directory and processes: what `up` and `down` may end and remove, and the end of a lab with its owner."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import pytest
from tests.unit.lab.asking import until
from tests.unit.lab.conftest import Impostor

from ec2zfs.cli import main
from ec2zfs.errors import ExitCode, Refused
from ec2zfs.lab import laboratory
from ec2zfs.lab.daemon import Options
from ec2zfs.lab.description import read
from ec2zfs.lab.laboratory import MARKER, daemon_pid, down, up
from ec2zfs.lab.machines import warm
from ec2zfs.lab.machines.process import processes_of
from ec2zfs.lab.paths import private, work_directory

PATIENCE = 60.0
"""Seconds for a daemon to come and go on a busy machine."""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a lab can be, with an image that nobody boots and a cache of its own."""
    monkeypatch.setattr(laboratory, "_check_image", lambda: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield tmp_path / "lab"
    for pid in processes_of(tmp_path):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def bring_up(directory: Path, owner_pid: int | None = None) -> int:
    """A lab without machines; the process id of its daemon."""
    return up(directory, Options(site=False, owner_pid=owner_pid), print).pid


@pytest.mark.parametrize("verb", ["up", "down"])
def test_a_directory_that_is_not_a_labs_is_left_as_it_is(directory: Path, verb: str) -> None:
    directory.mkdir(mode=0o755)
    (directory / "letter").write_text("dear")
    with pytest.raises(Refused, match=f"{directory} is not a lab's.*no file {MARKER}"):
        bring_up(directory) if verb == "up" else down(directory)
    assert [entry.name for entry in directory.iterdir()] == ["letter"]
    assert directory.stat().st_mode & 0o777 == 0o755


def test_a_link_to_a_labs_directory_is_refused(directory: Path, tmp_path: Path) -> None:
    directory.mkdir()
    (directory / MARKER).touch()
    (tmp_path / "link").symlink_to(directory)
    with pytest.raises(Refused, match="not a directory of this user"):
        down(tmp_path / "link")
    assert (directory / MARKER).exists()


def test_an_empty_directory_becomes_a_labs(directory: Path) -> None:
    directory.mkdir()
    bring_up(directory)
    assert (directory / MARKER).is_file()
    down(directory)
    assert not directory.exists()
    assert processes_of(directory) == []


def test_what_a_killed_down_leaves_is_still_a_labs(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / "machines" / "i-1").mkdir(parents=True)
    for name in (MARKER, "zzz", "aaa"):
        (directory / name).touch()
    removed: list[str] = []
    unlink = Path.unlink

    def killed_soon(path: Path, missing_ok: bool = False) -> None:
        if len(removed) == 1:
            raise KeyboardInterrupt
        removed.append(path.name)
        unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed_soon)
        with pytest.raises(KeyboardInterrupt):
            down(directory)
    assert (directory / MARKER).exists()
    down(directory)
    assert not directory.exists()


def test_a_machine_without_a_pid_file_is_ended(directory: Path, impostor: Impostor) -> None:
    directory.mkdir()
    (directory / MARKER).touch()
    machine = impostor("-pidfile", str(directory / "machines" / "i-1" / "pid"))
    down(directory)
    assert machine.wait(10) == -signal.SIGKILL


def test_so_is_one_whose_directory_is_gone_already(directory: Path, impostor: Impostor) -> None:
    machine = impostor("-pidfile", str(directory / "machines" / "i-1" / "pid"))
    down(directory)
    assert machine.wait(10) == -signal.SIGKILL


def test_so_is_a_template_machine_whose_maker_was_killed(tmp_path: Path, impostor: Impostor) -> None:
    workshop = private(work_directory(tmp_path, "warm"))
    (tmp_path / "images").mkdir()
    machine = impostor("-pidfile", str(workshop / "pid"))
    warm.sweep(tmp_path)
    assert machine.wait(10) == -signal.SIGKILL
    assert not workshop.exists()


def test_a_daemon_without_a_pid_file_is_ended(directory: Path) -> None:
    """As when `up` was killed before it was written."""
    bring_up(directory)
    (directory / "daemon.pid").unlink()
    down(directory)
    assert processes_of(directory) == []


def test_a_lab_goes_down_with_its_owner(directory: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as owner:
        daemon = bring_up(directory, owner.pid)
        assert daemon_pid(directory) == daemon
        owner.kill()
    until(lambda: not directory.exists(), PATIENCE)
    until(lambda: processes_of(directory) == [], PATIENCE)


def test_a_lab_whose_owner_is_gone_before_it_is_up_does_not_stay(directory: Path) -> None:
    with subprocess.Popen(["true"]) as owner:
        pass
    directory.mkdir()
    argv = [sys.executable, "-m", "ec2zfs.lab.daemon", str(directory)]
    subprocess.run([*argv, json.dumps(asdict(Options(site=False, owner_pid=owner.pid)))], check=True)
    until(lambda: not directory.exists(), PATIENCE)


def test_a_lab_without_an_owner_stays(directory: Path) -> None:
    starts = (
        "import pathlib, sys; from ec2zfs.lab import laboratory; from ec2zfs.lab.daemon import Options; "
        "laboratory._check_image = lambda: None; "
        "laboratory.up(pathlib.Path(sys.argv[1]), Options(site=False), print)"
    )
    subprocess.run([sys.executable, "-c", starts, str(directory)], check=True)
    lab = read(directory)
    assert lab
    assert daemon_pid(directory) == lab.pid
    down(directory)


def test_without_the_extra_nothing_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(laboratory.PACKAGES, "no_such_module", "no-such-package")
    directory = tmp_path / "lab"
    assert main(["lab", "up", "--directory", str(directory)]) == ExitCode.MISSING_TOOL
    assert main(["demo"]) == ExitCode.MISSING_TOOL
    assert "not installed here: no-such-package. Install ec2zfs with its lab extra" in capsys.readouterr().err
    assert not directory.exists()
