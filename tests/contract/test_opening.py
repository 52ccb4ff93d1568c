"""open.sh with the real cryptsetup on LUKS2 headers in files, and with what the real zpool printed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.contract.disk_files import FilesHost, blank, formatted
from tests.fakes.key_slots import NEW, OLD
from tests.fakes.pools import PAIR, design, volume

from ec2zfs.errors import CommandFailed, Refused, WrongPoolKey
from ec2zfs.execute.opening import Opening, carry_out
from ec2zfs.plan.pool import ImportPool, OpenVolume, ProveKey
from ec2zfs.tools import volume_keys
from ec2zfs.tools.volume_keys import VolumeKeys

pytestmark = pytest.mark.skipif(shutil.which("cryptsetup") is None, reason="cryptsetup is not installed here")

RECORDED = Path(__file__).parent.parent / "unit" / "tools" / "recorded" / "import.txt"
ONE, TWO = volume("v1s1", attached="attached"), volume("v1s2", attached="attached")
ZPOOL = """
mappings() {{ echo cloud-v1s1-g1; }}
imported() {{ return 1; }}
zgenhostid() {{ :; }}
keep_scans() {{ :; }}
zpool() {{
    case $* in
    'import -d /dev/mapper/cloud-v1s1-g1') sed 's/state: ONLINE/state: {state}/' {listing} ;;
    *) echo "zpool $*" >&2; return 1 ;;
    esac
}}
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume_keys, "_COST", 2)


def proved(directory: Path) -> None:
    actions = tuple(ProveKey(each, if_ours=True) for each in (ONE, TWO))
    carry_out(FilesHost(directory, "open"), Opening(design(PAIR), actions, (ONE, TWO)), VolumeKeys(OLD, "cloud"))  # type: ignore[arg-type]


def test_the_key_is_proved_on_what_bears_our_header(tmp_path: Path) -> None:
    formatted(tmp_path, ONE, OLD)
    blank(tmp_path, TWO)
    proved(tmp_path)
    formatted(tmp_path, TWO, NEW, label="cloud-v9s9-g1")
    proved(tmp_path)
    formatted(tmp_path, TWO, NEW)
    with pytest.raises(WrongPoolKey, match="does not open cloud-v1s2-g1"):
        proved(tmp_path)


def imported(directory: Path, state: str, importing: ImportPool) -> None:
    """The pool as the real zpool listed it, but for its state; nothing can be imported here, which is told last."""
    host = FilesHost(directory, "open", ZPOOL.format(state=state, listing=RECORDED))
    blank(directory, ONE)
    actions = (OpenVolume(ONE, if_ours=True), importing)
    carry_out(host, Opening(design(PAIR), actions, (ONE,)), VolumeKeys(OLD, "cloud"))  # type: ignore[arg-type]


@pytest.mark.parametrize("guid", [None, 5693525438822538466])
def test_a_pool_that_lacks_members_is_listed_and_not_imported(tmp_path: Path, guid: int | None) -> None:
    with pytest.raises(Refused, match=r"would be open with less redundancy, without v1s1, v1s2; nothing was left open"):
        imported(tmp_path, "DEGRADED", ImportPool("cloud", guid))


@pytest.mark.parametrize(
    ("state", "importing"),
    [
        ("ONLINE", ImportPool("cloud")),
        ("DEGRADED", ImportPool("cloud", degraded=True)),
        ("DEGRADED", ImportPool("cloud", 7)),
        ("UNAVAIL", ImportPool("cloud")),
    ],
)
def test_others_are_left_to_the_import(tmp_path: Path, state: str, importing: ImportPool) -> None:
    with pytest.raises(CommandFailed, match=r"(?s)zpool import -d /dev/mapper/cloud-v1s1-g1 -N .*was not imported"):
        imported(tmp_path, state, importing)
