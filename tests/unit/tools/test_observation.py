"""From what observe.sh prints to a view of the receiver."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ec2zfs.model.contents import OpenMapping, SeenVolume
from ec2zfs.tools.observation import our_mappings, receiver_view

RECORDED = Path(__file__).with_name("recorded")

PRINTED = f"""%volumes
volume vol0a /dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0a
signature crypto_LUKS
signature crypto_LUKS
keyslots 1
label cloud-v1s1-g1
volume vol0b /dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0b
untouched
%mappings
cloud-v1s1-g1
%opened
cloud-v1s1-g1 1056964608 1048576 - 0,2
cloud-v1s2-g1 1056964608 0 stale -
cloudy-v1s1-g1 1056964608 0 - -
%pools
cloud\t5693525438822538466\t5905580032\t835584\t5904744448\tONLINE
tank\t5\t1\t1\t0\tONLINE
%status
{(RECORDED / "status-online.txt").read_text()}%vdevs
\traidz1-0\t2952790016\t417792\t2952372224\t-\t1024\t0\t0\t-\tONLINE
%scrubbed
2026-11-23T22:46:28Z
%importable
{(RECORDED / "import.txt").read_text()}"""


def test_a_view_has_all_sections() -> None:
    view = receiver_view("cloud", PRINTED)
    by_id = "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_"
    assert view.volumes == (
        SeenVolume("vol0a", f"{by_id}vol0a", ("crypto_LUKS", "crypto_LUKS"), 1, "cloud-v1s1-g1"),
        SeenVolume("vol0b", f"{by_id}vol0b", untouched=True),
    )
    assert view.mappings == ("cloud-v1s1-g1",)
    assert view.pools == ("cloud", "tank")
    assert view.imported
    assert [str(member.place) for member in view.imported.members] == ["v1s1", "v1s2", "v1s3", "v2s1", "v2s2", "v2s3"]
    assert [pool.name for pool in view.importable] == ["cloud"]
    assert view.volume("vol0c") is None
    assert view.opened == (
        OpenMapping("cloud-v1s1-g1", 1056964608, 1048576, keyslots=(0, 2)),
        OpenMapping("cloud-v1s2-g1", 1056964608, stale=True),
    )
    assert [(vdev.size, vdev.expandable) for vdev in view.imported.vdevs] == [(2952790016, 1024), (0, 0)]
    assert view.imported.scrubbed == datetime(2026, 11, 23, 22, 46, 28, tzinfo=UTC)


def test_an_empty_machine() -> None:
    view = receiver_view("cloud", "%volumes\n%mappings\n\n%pools\n%status\n%importable\n")
    assert (view.volumes, view.mappings, view.pools, view.imported, view.importable) == ((), (), (), None, ())


def test_another_pool_is_not_ours() -> None:
    view = receiver_view("cl", PRINTED)
    assert (view.mappings, view.imported) == ((), None)


@pytest.mark.parametrize(
    ("pool", "ours"),
    [("cloud", ["cloud-v1s1-g1"]), ("cloud-v1s1-g1", ["cloud-v1s1-g1-v2s2-g2"]), ("clou", [])],
)
def test_mappings_of_a_pool_whose_name_begins_like_another(pool: str, ours: list[str]) -> None:
    assert list(our_mappings(pool, "cloud-v1s1-g1\ncloud-v1s1-g1-v2s2-g2\nswap\n")) == ours


def test_a_word_that_the_script_never_says_is_a_bug() -> None:
    with pytest.raises(ValueError, match="colour red"):
        receiver_view("cloud", "%volumes\nvolume vol0a /dev/x\ncolour red\n")
