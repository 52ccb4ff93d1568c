"""Reading the file: what stands in the way, and the defaults that depend on who reads it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ec2zfs.config import load, parse
from ec2zfs.config.sample import sample
from ec2zfs.errors import ConfigurationError, ExitCode


def test_a_file_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "ec2zfs.toml"
    path.write_text(sample())
    assert load(path) == parse(sample())


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"There is no configuration at .*/ec2zfs.toml\. .*`ec2zfs init"
    ) as caught:
        load(tmp_path / "ec2zfs.toml")
    assert caught.value.exit_code is ExitCode.CONFIGURATION


def test_a_directory_is_not_a_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        load(tmp_path)


def test_a_file_that_anybody_can_change_is_refused_since_it_names_commands(tmp_path: Path) -> None:
    path = tmp_path / "ec2zfs.toml"
    path.write_text(sample())
    path.chmod(0o666)
    with pytest.raises(ConfigurationError, match=r"can be changed by anybody.*chmod o-w"):
        load(path)


def test_another_encoding_is_told(tmp_path: Path) -> None:
    path = tmp_path / "ec2zfs.toml"
    path.write_bytes(b"[aws]\n# \xe4\n")
    with pytest.raises(ConfigurationError, match="is not UTF-8 at byte 8"):
        load(path)


@pytest.mark.parametrize(
    ("user", "state"), [(0, "/var/lib/ec2zfs"), (1000, "/home/anna/.local/state/ec2zfs")], ids=["root", "anna"]
)
def test_the_state_directory_depends_on_the_user(user: int, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setenv("HOME", "/home/anna")
    configuration = parse(sample())
    assert configuration.paths.state == Path(state)
    assert configuration.receiver_key == Path(state, "receiver_ed25519")
