"""What is searched for the keys: every file of the lab, and controls that show each kind of file to be read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ec2zfs.lab.demo import proofs
from ec2zfs.lab.demo.operator import DemonstrationFailed
from ec2zfs.lab.demo.traces import traces

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
CONSOLE = f"-----BEGIN SSH HOST KEY KEYS-----\n{HOST_KEY} root@i-0abc\n-----END SSH HOST KEY KEYS-----\n"
RECEIVER = "i-0abc"
CONTENT = {
    "operator.log": "Unlocking pool cloud\n",
    "pool_key": "another key\n",
    "state/reports/2026-03-01.json": "{}",
    f"machines/{RECEIVER}/console": CONSOLE,
    f"machines/{RECEIVER}/qemu.log": "",
    "machines/site/console": "Debian\n",
    "journal-site-1.log": "Accepted publickey for root\n",
    f"journal-{RECEIVER}-1.log": "Accepted publickey for admin\n",
    f"journal-{RECEIVER}-2.log": "Accepted publickey for admin\n",
    f"journal-{RECEIVER}-3.log": "Accepted publickey for admin\n",
    "processes-site-1": "sh\0\0\x00\x1ezfs\0send\0-L\0\0\x00\x1e",
    f"processes-{RECEIVER}-1": "sh\0\0\x00\x1ecryptsetup\0open\0\0\x00\x1ezfs\0receive\0\0\x00\x1e",
    f"processes-{RECEIVER}-2": "sh\0\0\x00\x1ecryptsetup\0open\0\0\x00\x1ezfs\0receive\0\0\x00\x1e",
    f"processes-{RECEIVER}-3": "sh\0\0\x00\x1ecryptsetup\0open\0\0\x00\x1e",
}
KEYS = {"the pool key": b"sesame opens it"}


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lab's directory after the demonstration; its root disk is flat already, so that no qemu-img is needed."""
    monkeypatch.setattr("ec2zfs.lab.demo.traces._flat_copy", copied)
    directory = tmp_path / "lab"
    files = CONTENT | {
        "processes-controller-1": f"python\0-m\0ec2zfs\0--config\0{directory}/demo.toml\0backup\0\x00\x1e"
    }
    for name, content in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(content)
    root_disk(directory, f"{HOST_KEY} root@{RECEIVER}\n".encode())
    return directory


def root_disk(lab: Path, content: bytes) -> None:
    (lab / "machines" / RECEIVER / "root.qcow2").write_bytes(content.ljust(1 << 20, b"\0"))


def copied(disk: Path, directory: Path) -> Path:
    flat = directory / f"{disk.parent.name}.raw"
    shutil.copy(disk, flat)
    return flat


def proven(lab: Path) -> proofs.Proof:
    return proofs.keys_nowhere(KEYS, traces(lab, RECEIVER, lab / "demo.toml"))


def test_every_file_is_searched_and_every_control_found(lab: Path) -> None:
    found = traces(lab, RECEIVER, lab / "demo.toml")
    assert {str(path.relative_to(lab)) for path in found.files} > CONTENT.keys()
    assert lab / f"{RECEIVER}.raw" in found.files
    assert len(found.records) == 5
    assert proven(lab).evidence.endswith("argv and environment of 11 processes")


@pytest.mark.parametrize("name", sorted(CONTENT))
def test_a_key_in_any_file_is_found(lab: Path, name: str) -> None:
    with (lab / name).open("ab") as file:
        file.write(KEYS["the pool key"])
    with pytest.raises(DemonstrationFailed, match="the pool key in "):
        proven(lab)


def test_a_key_on_the_receivers_disk_is_found(lab: Path) -> None:
    root_disk(lab, f"{HOST_KEY} sesame opens it".encode())
    with pytest.raises(DemonstrationFailed, match=f"the pool key in .*{RECEIVER}"):
        proven(lab)


def test_a_disk_that_is_not_the_receivers_own_proves_nothing(lab: Path) -> None:
    root_disk(lab, b"BEGIN OPENSSH PRIVATE KEY, as every ssh has it")
    with pytest.raises(DemonstrationFailed, match=f"does not find b'ssh-ed25519 .*{RECEIVER}.raw"):
        proven(lab)


def test_a_console_without_a_host_key_proves_nothing(lab: Path) -> None:
    (lab / "machines" / RECEIVER / "console").write_text("")
    with pytest.raises(DemonstrationFailed, match="shows no ssh host key"):
        proven(lab)


@pytest.mark.parametrize("name", sorted(name for name in CONTENT if name.startswith(("processes-", "journal-"))))
def test_a_record_that_is_missing_or_blind_proves_nothing(lab: Path, name: str) -> None:
    (lab / name).write_text("python3\0-\0\x00\x1e")
    with pytest.raises(DemonstrationFailed, match=f"does not find .*{name}"):
        proven(lab)
    (lab / name).unlink()
    with pytest.raises(DemonstrationFailed, match=f"does not find .*{name}"):
        proven(lab)


def test_the_text_of_a_script_is_no_process(lab: Path) -> None:
    (lab / f"processes-{RECEIVER}-2").write_text("sh\0-c\0cryptsetup open; zfs receive\0\0\x00\x1e")
    with pytest.raises(DemonstrationFailed, match=r"does not find .*cryptsetup"):
        proven(lab)
