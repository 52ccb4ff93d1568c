"""What zpool prints, recorded from OpenZFS 2.3.2, and what we make of it; the arguments with which a pool is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from ec2zfs.model.contents import ImportablePool
from ec2zfs.model.layout import Redundancy
from ec2zfs.model.pool import DeviceState, PoolStatus
from ec2zfs.tools.zpool import ListedPool, create_arguments, importable_pools, listed_pools, pool_status

RECORDED = Path(__file__).with_name("recorded")
LISTED = ListedPool("cloud", 5693525438822538466, 5905580032, 835584, 5904744448, "ONLINE")


def status(name: str) -> PoolStatus:
    return pool_status(LISTED, (RECORDED / f"status-{name}.txt").read_text())


def members(name: str) -> list[str]:
    return [
        f"{member.place} g{member.generation} {member.state} {member.read_errors}/{member.write_errors}/"
        f"{member.checksum_errors}"
        for member in status(name).members
    ]


SOUND = ["v2s1 g1 ONLINE 0/0/0", "v2s2 g1 ONLINE 0/0/0", "v2s3 g1 ONLINE 0/0/0"]


@pytest.mark.parametrize(
    ("name", "state", "healthy", "first_vdev"),
    [
        ("online", "ONLINE", True, ["v1s1 g1 ONLINE 0/0/0", "v1s2 g1 ONLINE 0/0/0", "v1s3 g1 ONLINE 0/0/0"]),
        # ZFS calls the pool ONLINE though a member is gone; we do not call it healthy.
        ("faulted", "ONLINE", False, ["v1s1 g1 ONLINE 0/0/0", "v1s2 g1 FAULTED 3/24/0", "v1s3 g1 ONLINE 0/0/0"]),
        ("missing", "DEGRADED", False, ["v1s1 g1 ONLINE 0/0/0", "v1s2 g1 UNAVAIL 0/0/0", "v1s3 g1 ONLINE 0/0/0"]),
        ("suspended", "SUSPENDED", False, ["v1s1 g1 ONLINE 0/0/0", "v1s2 g1 UNAVAIL 0/0/0", "v1s3 g1 DEGRADED 4/2/0"]),
    ],
)
def test_status(name: str, state: str, healthy: bool, first_vdev: list[str]) -> None:
    assert (status(name).state, status(name).healthy) == (DeviceState(state), healthy)
    assert members(name) == first_vdev + SOUND
    assert [(vdev.name, vdev.kind) for vdev in status(name).vdevs] == [("raidz1-0", "raidz1"), ("raidz1-1", "raidz1")]


def test_status_keeps_what_zfs_says() -> None:
    found = status("missing")
    assert found.scan == "scrub repaired 0B in 00:00:02 with 0 errors on Mon Nov 23 22:46:28 2026"
    assert found.status.startswith(
        "One or more devices could not be used because the label is missing or invalid. Suff"
    )
    assert found.errors == "No known data errors"
    assert (found.guid, found.size, found.free) == (5693525438822538466, 5905580032, 5904744448)


def test_the_halves_of_a_replacement_are_members_of_their_vdev() -> None:
    (vdev,) = status("replacing").vdevs
    assert [member.name for member in vdev.members] == ["cloud-v1s1-g1", "cloud-v1s2-g1", "vdd1", "cloud-v1s3-g1"]
    assert vdev.members[2].place is None
    assert status("replacing").scan.endswith("26.7M resilvered, 76.76% done, 00:00:00 to go")


def test_status_with_damaged_files_is_not_healthy() -> None:
    text = (RECORDED / "status-online.txt").read_text()
    damaged = text.replace(
        "No known data errors",
        "Permanent errors have been detected in the following files:\n\n        cloud:<0x0>\n        cloud/x@y:/a: b",
    )
    found = pool_status(LISTED, damaged)
    assert not found.healthy
    assert found.errors.endswith("following files: cloud:<0x0> cloud/x@y:/a: b")


def test_what_follows_the_vdevs_is_no_vdev() -> None:
    text = (RECORDED / "status-online.txt").read_text()
    more = text.replace(
        "\n\nerrors:", "\n\tlogs\n\t  /dev/sdx  ONLINE  0  0  0\n\tspares\n\t  /dev/sdy  AVAIL\n\nerrors:"
    )
    assert len(pool_status(LISTED, text.replace("\n\nerrors:", more)).members) == 6


def test_list() -> None:
    text = "cloud\t5693525438822538466\t5905580032\t835584\t5904744448\tONLINE\nlost\t12\t-\t-\t-\tUNAVAIL\n"
    assert listed_pools(text) == (LISTED, ListedPool("lost", 12, 0, 0, 0, "UNAVAIL"))
    assert listed_pools("") == ()


def test_import() -> None:
    text = (RECORDED / "import.txt").read_text()
    other = text.replace("pool: cloud", "pool: tank").replace("id: 5693525438822538466", "id: 7")
    assert importable_pools(text + "\n" + other.replace("state: ONLINE", "state: UNAVAIL")) == (
        ImportablePool("cloud", 5693525438822538466, "ONLINE"),
        ImportablePool("tank", 7, "UNAVAIL"),
    )
    assert importable_pools("") == ()


def test_create_arguments() -> None:
    vdevs = [["/dev/mapper/a", "/dev/mapper/b"], ["/dev/mapper/c", "/dev/mapper/d"]]
    words = create_arguments("cloud", Redundancy.MIRROR, vdevs)
    assert " ".join(words) == (
        "-o ashift=12 -o autoexpand=off -o cachefile=none -o compatibility=openzfs-2.1-linux "
        "-O acltype=posix -O atime=off -O canmount=off -O compression=lz4 -O mountpoint=none -O recordsize=1M "
        "-O xattr=sa -R /mnt cloud mirror /dev/mapper/a /dev/mapper/b mirror /dev/mapper/c /dev/mapper/d"
    )
    assert "-f" not in words
