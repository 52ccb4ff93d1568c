"""Each proof of the demonstration holds for what it should, and fails for what is wrong, empty, or not seen at all."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ec2zfs.hosts.secret import Secret
from ec2zfs.lab.demo import proofs
from ec2zfs.lab.demo.operator import DemonstrationFailed
from ec2zfs.lab.demo.proofs import LUKS_MAGIC, Control, Traces

MARKER = b"PLAIN-0123"
MIB = 1 << 20
SNAPSHOTS = ("tank/home@monday", "tank/home@tuesday")
MANIFEST = ("0 2e dir", "0 61 file one", "1 2e dir", "1 61 file two")


@pytest.fixture
def site_disk(tmp_path: Path) -> Path:
    path = tmp_path / "sitetank.raw"
    path.write_bytes(bytes(5000) + MARKER + b" file 1")
    return path


@pytest.fixture
def volumes(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"vol-{number}.raw" for number in range(3)]
    for path in paths:
        path.write_bytes(LUKS_MAGIC + b"\x42" * 100_000)
    return paths


@pytest.fixture
def traces(tmp_path: Path) -> Traces:
    log, record = tmp_path / "operator.log", tmp_path / "processes-site-1"
    log.write_text("Unlocking pool cloud\n")
    record.write_bytes(b"zfs\0send\0-L\0\0PATH=/sbin\0\x00\x1esh\0\0\x00\x1e")
    controls = (Control(log, b"Unlocking pool"), Control(record, b"zfs\0send\0"))
    return Traces((log, record), controls, (record,))


KEYS = {"the pool key": b"sesame opens it"}


def test_equal_copies() -> None:
    proof = proofs.equal_copies(SNAPSHOTS, MANIFEST, MANIFEST, 4)
    assert proof.evidence == "4 entries of 2 snapshots, content by SHA-512, through a read-only mount"


@pytest.mark.parametrize(
    ("here", "there", "complaint"),
    [
        (MANIFEST, (), "4 entries do"),
        (MANIFEST, (*MANIFEST[:3], "1 61 file other"), "tank/home@tuesday differs; in all 2 entries do"),
        (MANIFEST, (*MANIFEST, MANIFEST[3]), "0 entries do"),
        ((), (), "prove nothing"),
        (MANIFEST[:2], MANIFEST[:2], "prove nothing"),
        ((*MANIFEST[:2], "1 2e dir"), (*MANIFEST[:2], "1 2e dir"), "prove nothing"),
    ],
    ids=["no copy", "another content", "twice", "nothing seen", "a snapshot not seen", "files not seen"],
)
def test_copies_that_are_not_equal(here: Sequence[str], there: Sequence[str], complaint: str) -> None:
    with pytest.raises(DemonstrationFailed, match=complaint):
        proofs.equal_copies(SNAPSHOTS, here, there, 4)


def test_no_snapshots_at_all() -> None:
    with pytest.raises(DemonstrationFailed, match="prove nothing"):
        proofs.equal_copies((), (), (), 1)


def reports(*sent: int | None) -> list[Mapping[str, Any]]:
    return [{"pool": "cloud", "bytes_sent": each} for each in sent]


def test_only_the_difference() -> None:
    proof = proofs.only_the_difference(reports(190 * MIB, 3 * MIB), 180 * MIB)
    assert proof.evidence == "3,145,728 bytes, after 199,229,440 on the first day"


@pytest.mark.parametrize(
    "sent",
    [
        (),
        (190 * MIB,),
        (190 * MIB, 3 * MIB, 3 * MIB),
        (170 * MIB, 3 * MIB),
        (190 * MIB, 19 * MIB),
        (190 * MIB, 0),
        (190 * MIB, None),
        (None, 3 * MIB),
    ],
)
def test_everything_sent_again_or_nothing_or_not_told(sent: Sequence[int | None]) -> None:
    with pytest.raises(DemonstrationFailed, match="Two days"):
        proofs.only_the_difference(reports(*sent), 180 * MIB)


def test_nowhere_in_the_cloud(site_disk: Path, volumes: list[Path]) -> None:
    proof = proofs.nowhere_in_the_cloud(MARKER, [site_disk], volumes, 3, 300_000)
    assert proof.evidence.startswith("3 backing files, a LUKS header in each")


def test_plaintext_in_the_cloud(site_disk: Path, volumes: list[Path]) -> None:
    with volumes[1].open("ab") as file:
        file.write(MARKER)
    with pytest.raises(DemonstrationFailed, match=r"the plaintext in .*vol-1.raw at byte 100006"):
        proofs.nowhere_in_the_cloud(MARKER, [site_disk], volumes, 3, 300_000)


def test_no_volumes(site_disk: Path) -> None:
    with pytest.raises(DemonstrationFailed, match="3 volumes should begin with a LUKS header; of 0"):
        proofs.nowhere_in_the_cloud(MARKER, [site_disk], [], 3, 300_000)


def test_a_volume_is_missing(site_disk: Path, volumes: list[Path]) -> None:
    with pytest.raises(DemonstrationFailed, match="of 2"):
        proofs.nowhere_in_the_cloud(MARKER, [site_disk], volumes[:2], 3, 200_000)


@pytest.mark.parametrize("content", [b"", b"\x42" * 100_000, b"?" + LUKS_MAGIC + b"\x42" * 100_000])
def test_a_volume_without_a_luks_header(site_disk: Path, volumes: list[Path], content: bytes) -> None:
    volumes[2].write_bytes(content)
    with pytest.raises(DemonstrationFailed, match="should begin with a LUKS header"):
        proofs.nowhere_in_the_cloud(MARKER, [site_disk], volumes, 3, 200_000)


def test_volumes_that_hold_little(site_disk: Path, volumes: list[Path]) -> None:
    with pytest.raises(DemonstrationFailed, match="less than the sources"):
        proofs.nowhere_in_the_cloud(MARKER, [site_disk], volumes, 3, 10 * MIB)


def test_a_search_that_does_not_see_the_site(site_disk: Path, volumes: list[Path]) -> None:
    for disks, marker in (([], MARKER), ([site_disk], b"another")):
        with pytest.raises(DemonstrationFailed, match="proves nothing"):
            proofs.nowhere_in_the_cloud(marker, disks, volumes, 3, 300_000)


def test_keys_nowhere(traces: Traces) -> None:
    proof = proofs.keys_nowhere(KEYS, traces)
    assert proof.evidence.startswith("1 forms of them in 2 files")
    assert proof.evidence.endswith("argv and environment of 2 processes")


@pytest.mark.parametrize("name", ["operator.log", "processes-site-1"])
def test_a_key_that_leaked(traces: Traces, tmp_path: Path, name: str) -> None:
    with (tmp_path / name).open("ab") as file:
        file.write(b"--key=sesame opens it")
    with pytest.raises(DemonstrationFailed, match=f"the pool key in .*{name}"):
        proofs.keys_nowhere(KEYS, traces)


@pytest.mark.parametrize("name", ["operator.log", "processes-site-1"])
def test_a_file_that_is_blind(traces: Traces, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(DemonstrationFailed, match=f"does not find .*{name}"):
        proofs.keys_nowhere(KEYS, traces)


def test_a_file_that_is_missing(traces: Traces, tmp_path: Path) -> None:
    control = Control(tmp_path / "processes-i-0abc-2", b"cryptsetup")
    with pytest.raises(DemonstrationFailed, match="does not find b'cryptsetup'"):
        proofs.keys_nowhere(KEYS, Traces(traces.files, (*traces.controls, control), traces.records))


def test_nothing_to_look_for_or_in(traces: Traces) -> None:
    nothing = [
        ({}, traces),
        (KEYS, Traces((), (), ())),
        (KEYS, Traces(traces.files, (), traces.records)),
        (KEYS, Traces(traces.files, traces.controls, ())),
    ]
    for keys, left in nothing:
        with pytest.raises(DemonstrationFailed):
            proofs.keys_nowhere(keys, left)


def test_every_key_in_every_form() -> None:
    forms = proofs.key_forms(Secret(b"sesame"), "cloud", ["cloud-v1s1-g1", "cloud-v1s2-g1"])
    assert len(forms) == 9
    assert forms["the pool key (hexadecimal)"] == b"736573616d65"
    assert forms["the pool key (base64)"] == b"c2VzYW1l"
    assert len(set(forms.values())) == 9


def test_the_receiver_is_stopped() -> None:
    assert proofs.stopped([{"id": "i-1", "state": "stopped"}]).evidence == "EC2 says so of 1 instance"


@pytest.mark.parametrize("states", [[], ["running"], ["stopping"], ["stopped", "running"], ["stopped", "stopped"]])
def test_the_receiver_is_not_stopped_or_not_one(states: list[str]) -> None:
    with pytest.raises(DemonstrationFailed, match="should be stopped"):
        proofs.stopped([{"state": state} for state in states])


def test_nothing_is_left(tmp_path: Path) -> None:
    assert proofs.nothing_left(tmp_path / "lab", [17, 18]).evidence.startswith("of 2 processes none")


def test_a_directory_is_left(tmp_path: Path) -> None:
    with pytest.raises(DemonstrationFailed, match="is still there"):
        proofs.nothing_left(tmp_path, [17])


def test_no_process_was_ever_seen(tmp_path: Path) -> None:
    with pytest.raises(DemonstrationFailed, match="proves nothing"):
        proofs.nothing_left(tmp_path / "lab", [])


def test_a_process_is_left(tmp_path: Path) -> None:
    words = [
        sys.executable,
        "-c",
        "print(flush=True); import time; time.sleep(60)",
        f"{tmp_path}/lab/machines/site/pid",
    ]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(DemonstrationFailed, match=rf"still run: \[{process.pid}\]"):
            proofs.nothing_left(tmp_path / "lab", [process.pid])
        process.kill()
