"""What `zpool status` prints, recorded from OpenZFS 2.3.2, and what we make of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ec2zfs.model.pool import DeviceState, PoolStatus
from ec2zfs.tools.zpool import ListedPool
from ec2zfs.tools.zpool_status import pool_status

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
    assert found.scan
    assert found.scan.line == "scrub repaired 0B in 00:00:02 with 0 errors on Mon Nov 23 22:46:28 2026"
    assert found.last_clean_scrub == datetime(2026, 11, 23, 22, 46, 28, tzinfo=UTC)
    assert found.status.startswith(
        "One or more devices could not be used because the label is missing or invalid. Suff"
    )
    assert found.errors == "No known data errors"
    assert (found.guid, found.size, found.free) == (5693525438822538466, 5905580032, 5904744448)


def test_the_halves_of_a_replacement_are_members_of_their_vdev() -> None:
    found = status("replacing")
    (vdev,) = found.vdevs
    assert [(member.name, member.replacing, member.resilvering) for member in vdev.members] == [
        ("cloud-v1s1-g1", False, False),
        ("cloud-v1s2-g1", True, False),
        ("vdd1", True, True),
        ("cloud-v1s3-g1", False, False),
    ]
    assert vdev.members[2].place is None
    assert found.scan
    assert found.scan.line.endswith("26.7M resilvered, 76.76% done, 00:00:00 to go")
    assert found.resilvering


def test_a_member_whose_device_is_gone_goes_by_its_number() -> None:
    gone = status("missing").members[1]
    assert (gone.handle, gone.path) == ("13044610144625133396", "/dev/mapper/cloud-v1s2-g1")
    assert status("online").members[1].handle == "/dev/mapper/cloud-v1s2-g1"


MIRROR = """  pool: cloud
 state: DEGRADED
config:

\tNAME                             STATE     READ WRITE CKSUM
\tcloud                            DEGRADED     0     0     0
\t  mirror-0                       DEGRADED     0     0     0
\t    replacing-0                  DEGRADED     0     0     0
\t      77                         UNAVAIL      0     0     0  was /dev/mapper/cloud-v1s1-g1
\t      /dev/mapper/cloud-v1s1-g2  ONLINE       0     0     0  (awaiting resilver)
\t    /dev/mapper/cloud-v1s2-g1    ONLINE       0     0     1  (resilvering)
\t  replacing-1                    ONLINE       0     0     0
\t    /dev/mapper/cloud-v2s1-g1    ONLINE       0     0     0
\t    /dev/mapper/cloud-v2s1-g2    ONLINE       0     0     0
\t  /dev/mapper/cloud-v3s1-g1      ONLINE       0     0     0

errors: No known data errors
"""


def test_replacements_in_mirrors_and_of_lone_members() -> None:
    found = pool_status(LISTED, MIRROR)
    assert [(vdev.kind, len(vdev.members)) for vdev in found.vdevs] == [("mirror", 3), ("disk", 2), ("disk", 1)]
    assert [(str(each.place), each.generation, each.replacing, each.resilvering) for each in found.members] == [
        ("v1s1", 1, True, False),
        ("v1s1", 2, True, True),
        ("v1s2", 1, False, True),
        ("v2s1", 1, True, False),
        ("v2s1", 2, True, False),
        ("v3s1", 1, False, False),
    ]
    assert (found.scan, found.resilvering) == (None, True)


SIZES = """cloud\t5905580032\t835584\t5904744448\t-\t-\t0\t0\t1.00\tONLINE\t/mnt
\traidz1-0\t2952790016\t417792\t2952372224\t-\t3221225472\t0\t0\t-\tONLINE
\t/dev/mapper/cloud-v1s1-g1\t1056964608\t-\t-\t-\t1073741824\t-\t-\t-\tONLINE
\treplacing-0\t-\t-\t-\t-\t-\t-\t-\t-\tONLINE
\traidz1-1\t2952790016\t417792\t2952372224\t-\t-\t0\t0\t-\tONLINE
"""


def test_vdevs_have_sizes() -> None:
    found = pool_status(LISTED, (RECORDED / "status-online.txt").read_text(), sizes=SIZES)
    assert [(vdev.size, vdev.allocated, vdev.expandable) for vdev in found.vdevs] == [
        (2952790016, 417792, 3221225472),
        (2952790016, 417792, 0),
    ]


@pytest.mark.parametrize(
    ("value", "scrubbed"),
    [("2026-11-23T22:46:28Z\n", datetime(2026, 11, 23, 22, 46, 28, tzinfo=UTC)), ("-", None), ("", None), ("x", None)],
)
def test_the_scrub_that_we_noted(value: str, scrubbed: datetime | None) -> None:
    text = (RECORDED / "status-online.txt").read_text()
    assert pool_status(LISTED, text, scrubbed=value).last_clean_scrub == scrubbed


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
