"""The controller's key pair: made once, kept for ever."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ec2zfs.errors import CommandFailed, MissingTool
from ec2zfs.hosts.keypair import ensure_keypair


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new directory" / "id"


def public(path: Path) -> Path:
    return path.with_name(path.name + ".pub")


def test_a_pair_is_made_and_then_kept(path: Path) -> None:
    line = ensure_keypair(path)
    private = path.read_bytes()
    assert line.startswith("ssh-ed25519 AAAA")
    assert path.stat().st_mode & 0o777 == 0o600
    assert ensure_keypair(path) == line
    assert path.read_bytes() == private
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["id", "id.pub"]


def test_a_lost_public_half_is_made_again(path: Path) -> None:
    line = ensure_keypair(path)
    public(path).unlink()
    assert ensure_keypair(path).split()[:2] == line.split()[:2]


def test_a_public_half_without_its_key_is_not_believed(path: Path) -> None:
    path.parent.mkdir()
    public(path).write_text("ssh-ed25519 AAAAof-another-key\n")
    line = ensure_keypair(path)
    derived = subprocess.run(["ssh-keygen", "-y", "-f", str(path)], capture_output=True, text=True, check=True).stdout
    assert derived.split()[:2] == line.split()[:2]


def test_a_pair_with_a_passphrase_serves_by_its_public_half(path: Path) -> None:
    path.parent.mkdir()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "phrase", "-f", str(path)], check=True)
    assert ensure_keypair(path) == public(path).read_text().strip()
    public(path).unlink()
    with pytest.raises(CommandFailed, match="passphrase"):
        ensure_keypair(path)


def test_without_ssh_keygen(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ec2zfs.hosts.process.SBIN", ())
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingTool, match=r"ssh-keygen.*apt install openssh-client"):
        ensure_keypair(path)
