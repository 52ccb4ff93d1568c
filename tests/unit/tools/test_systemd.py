from __future__ import annotations

import os
from pathlib import Path

import pytest

from ec2zfs.errors import CommandFailed
from ec2zfs.hosts.local import LocalHost
from ec2zfs.tools.systemd import power_off_after

OLD = ("ec2zfs-dead-man.timer", "ec2zfs-dead-man-1.timer")
ARMED = "systemd-run --quiet --unit=ec2zfs-dead-man-42 --description=Power off: no controller has been heard"


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What stand-ins for systemd's programs were told; an old timer is listed beside the new one."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    listed = "\\n".join(f"{name} loaded active waiting Power off" for name in (*OLD, "ec2zfs-dead-man-42.timer"))
    program(tmp_path, "systemd-run", "")
    program(tmp_path, "systemctl", f"[ $1 != list-units ] || printf '{listed}\\n'")
    program(tmp_path, "date", "echo 42")
    return tmp_path / "log"


def program(directory: Path, name: str, script: str) -> None:
    path = directory / name
    path.write_text(f'#!/bin/sh\necho "{name} $*" >>"{directory}/log"\n{script}\n')
    path.chmod(0o755)


def test_the_new_timer_is_armed_before_the_old_ones_are_stopped(log: Path) -> None:
    power_off_after(LocalHost(), 1800)
    assert [line for line in log.read_text().splitlines() if not line.startswith("date")] == [
        f"{ARMED} --on-active=1800 --timer-property=AccuracySec=1s systemctl poweroff",
        "systemctl list-units --plain --no-legend --type=timer ec2zfs-dead-man*",
        *(f"systemctl stop {name}" for name in OLD),
    ]


def test_without_a_new_timer_the_old_ones_stay(log: Path) -> None:
    program(log.parent, "systemd-run", "echo 'Transaction is destructive' >&2; exit 1")
    with pytest.raises(CommandFailed, match="Transaction is destructive"):
        power_off_after(LocalHost(), 1800)
    assert "systemctl stop" not in log.read_text()
