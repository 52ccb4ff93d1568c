"""rekey.sh with the real cryptsetup, on LUKS2 headers in files: what tests/fakes/receiver.sh imagines is so."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.contract.disk_files import FilesHost, formatted, run
from tests.fakes.key_slots import NEW, OLD, THIRD, two_keys
from tests.fakes.pools import volume

from ec2zfs.errors import CommandFailed, Refused, WrongPoolKey
from ec2zfs.execute.rekeying import carry_out, key_slots
from ec2zfs.plan.rekeying import AddNewKey, AddOldKey, KeySlots, RemoveOldKey, plan_rekeying
from ec2zfs.tools import volume_keys
from ec2zfs.tools.volume_keys import VolumeKeys

pytestmark = pytest.mark.skipif(shutil.which("cryptsetup") is None, reason="cryptsetup is not installed here")

ONE, TWO = volume("v1s1"), volume("v1s2")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FilesHost:
    """Two volumes, formatted with the old key."""
    monkeypatch.setattr(volume_keys, "_COST", 2)
    for each in (ONE, TWO):
        formatted(tmp_path, each, OLD)
    return FilesHost(tmp_path, "rekey")


def slots(host: FilesHost) -> list[tuple[int | None, int | None]]:
    return [(each.old, each.new) for each in key_slots(host, "cloud", (ONE, TWO), two_keys())]  # type: ignore[arg-type]


def do(host: FilesHost, phase: AddNewKey | AddOldKey | RemoveOldKey) -> None:
    carry_out(host, "cloud", phase, two_keys())  # type: ignore[arg-type]


def test_from_one_key_to_the_other(host: FilesHost) -> None:
    assert slots(host) == [(0, None), (0, None)]
    for _ in range(2):
        do(host, AddNewKey((ONE, TWO)))
        assert slots(host) == [(0, 1), (0, 1)]
    for _ in range(2):
        do(host, RemoveOldKey((ONE, TWO)))
        assert slots(host) == [(None, 1), (None, 1)]


def test_carried_on_from_half_way(host: FilesHost) -> None:
    do(host, AddNewKey((ONE,)))
    assert slots(host) == [(0, 1), (0, None)]
    do(host, AddNewKey((ONE, TWO)))
    do(host, RemoveOldKey((ONE,)))
    assert slots(host) == [(None, 1), (0, 1)]
    do(host, RemoveOldKey((ONE, TWO)))
    assert slots(host) == [(None, 1), (None, 1)]


def test_the_added_slot_costs_no_more_than_the_formatted_one(host: FilesHost, tmp_path: Path) -> None:
    do(host, AddNewKey((ONE,)))
    dump = run(["cryptsetup", "luksDump", str(tmp_path / ONE.serial)])
    assert [line.split()[1] for line in dump.splitlines() if "PBKDF:" in line] == ["pbkdf2", "pbkdf2"]
    assert dump.split("Keyslots:")[1].split("Tokens:")[0].count("Iterations: 1000") == 2


def test_a_fresh_volume_gets_the_old_key_behind_the_new_one(host: FilesHost, tmp_path: Path) -> None:
    formatted(tmp_path, TWO, NEW)
    do(host, AddNewKey((ONE,)))
    phase = plan_rekeying(key_slots(host, "cloud", (ONE, TWO), two_keys()), fresh=True)  # type: ignore[arg-type]
    assert phase == AddOldKey((TWO,))
    do(host, phase)
    assert slots(host) == [(0, 1), (1, 0)]


def test_nothing_is_removed_unless_the_new_key_opens_all(host: FilesHost) -> None:
    do(host, AddNewKey((ONE,)))
    with pytest.raises(WrongPoolKey, match=r"cloud-v1s2-g1 .* is not opened by the key that is to stay"):
        do(host, RemoveOldKey((ONE, TWO)))
    assert slots(host) == [(0, 1), (0, None)]


def test_a_key_that_opens_nothing_adds_nothing(host: FilesHost, tmp_path: Path) -> None:
    formatted(tmp_path, ONE, THIRD)
    with pytest.raises(CommandFailed, match=r"(?s)No key available with this passphrase.*got no further key"):
        do(host, AddNewKey((ONE,)))
    assert slots(host)[0] == (None, None)


def test_a_file_without_a_header(host: FilesHost, tmp_path: Path) -> None:
    (tmp_path / TWO.serial).write_bytes(bytes(20 * 2**20))
    with pytest.raises(Refused, match=r"cloud-v1s2-g1 .* has no LUKS2 header that can be read"):
        slots(host)


def test_cryptsetup_itself_never_leaves_a_volume_without_a_key(host: FilesHost, tmp_path: Path) -> None:
    """What rekey.sh relies on: a slot is killed only by a key that opens another one."""
    path, keys = str(tmp_path / ONE.serial), two_keys()
    kill = ["cryptsetup", "luksKillSlot", "--batch-mode", path, "0", "--key-file=-", "--keyfile-size=64"]
    for key in (keys.new, VolumeKeys(THIRD, "cloud")):
        with pytest.raises(subprocess.CalledProcessError):
            run(kill, key.key(ONE.mapping))
    do(host, AddNewKey((ONE,)))
    with pytest.raises(subprocess.CalledProcessError):
        run(kill, keys.old.key(ONE.mapping))
    run(kill, keys.new.key(ONE.mapping))
    assert key_slots(host, "cloud", (ONE,), keys) == (KeySlots(ONE, old=None, new=1),)  # type: ignore[arg-type]
