"""What a lab that is up says of itself, and the configuration made of it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from ec2zfs.config import load
from ec2zfs.errors import Refused
from ec2zfs.lab.configuration import write_configuration
from ec2zfs.lab.description import LabDescription, SiteAccess, read, write
from ec2zfs.lab.laboratory import MARKER, daemon_pid, described, down, running
from ec2zfs.lab.login import log_in, login_argv


@pytest.fixture
def lab(tmp_path: Path) -> LabDescription:
    return LabDescription(
        directory=str(tmp_path),
        pid=1,
        endpoint="http://127.0.0.1:41993",
        region="us-east-1",
        zone="us-east-1a",
        image_id="ami-0ec2f5000000000a1",
        identity=str(tmp_path / "id_ed25519"),
        receiver_user="admin",
        receiver_port=2222,
        stream_ports="28300-28307",
        site=SiteAccess("127.1.2.3", 2222, "root", str(tmp_path / "site_known_hosts"), "site"),
    )


@pytest.mark.parametrize("with_site", [True, False])
def test_it_is_written_and_read(lab: LabDescription, tmp_path: Path, with_site: bool) -> None:
    wanted = lab if with_site else replace(lab, site=None)
    assert read(tmp_path) is None
    write(tmp_path, wanted)
    assert read(tmp_path) == wanted


def test_its_configuration_is_valid(lab: LabDescription, tmp_path: Path) -> None:
    write_configuration(lab)
    configuration = load(tmp_path / "ec2zfs.toml")
    assert configuration.aws.endpoint_url == "http://127.0.0.1:41993"
    assert (configuration.site.address, configuration.site.port) == ("127.1.2.3", 2222)
    assert configuration.transport.port_range == (28300, 28307)
    assert configuration.layout.volumes == 6
    key = tmp_path / "pool_key"
    assert len(key.read_text().strip()) == 64
    assert key.stat().st_mode & 0o777 == 0o600


def test_one_logs_in_to_the_site_by_its_pinned_key(lab: LabDescription) -> None:
    argv = login_argv(lab, "site", ["zfs", "list", "tank/a b"])
    assert "StrictHostKeyChecking=yes" in argv
    assert argv[-3:] == ["--", "127.1.2.3", "zfs list 'tank/a b'"]


def test_logging_in_is_becoming_ssh(lab: LabDescription, monkeypatch: pytest.MonkeyPatch) -> None:
    def execute(program: str, argv: list[str]) -> NoReturn:
        assert (program, argv) == ("ssh", login_argv(lab, "site", ["true"]))
        raise SystemExit(7)

    monkeypatch.setattr(os, "execvp", execute)
    with pytest.raises(SystemExit, match="7"):
        log_in(lab, "site", ["true"])


def test_without_a_site_one_cannot(lab: LabDescription) -> None:
    with pytest.raises(Refused, match="no site"):
        login_argv(replace(lab, site=None), "site", [])


def test_no_lab_is_up_where_nothing_is(tmp_path: Path) -> None:
    assert described(tmp_path / "nowhere") is None
    with pytest.raises(Refused, match="No lab is up"):
        running(tmp_path)
    down(tmp_path / "nowhere")


def test_a_stranger_with_the_daemons_number_is_not_the_daemon(tmp_path: Path) -> None:
    (tmp_path / "daemon.pid").write_text(str(os.getpid()))
    assert daemon_pid(tmp_path) is None


def test_taking_down_removes_the_directory_and_ends_no_stranger(tmp_path: Path) -> None:
    directory = tmp_path / "lab"
    machine = directory / "machines" / "i-1"
    machine.mkdir(parents=True)
    (directory / MARKER).touch()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        for file in (directory / "daemon.pid", machine / "pid"):
            file.write_text(str(stranger.pid))
        down(directory)
        assert stranger.poll() is None
        stranger.communicate(b"\n")
    assert not directory.exists()
