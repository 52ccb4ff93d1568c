"""The `scan:` lines of `zpool status` in the words of every OpenZFS from 0.8 to 2.4."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ec2zfs.model.scan import Scan, ScanFunction, ScanState
from ec2zfs.tools.zpool_scan import scan_of

SCRUB, RESILVER = ScanFunction.SCRUB, ScanFunction.RESILVER
RUNNING, PAUSED, FINISHED, CANCELED = ScanState.RUNNING, ScanState.PAUSED, ScanState.FINISHED, ScanState.CANCELED
AT = datetime(2026, 11, 23, 22, 46, 28, tzinfo=UTC)
TIME = "Mon Nov 23 22:46:28 2026"
GIB, MIB = 2**30, 2**20


@pytest.mark.parametrize(
    ("text", "function", "state", "errors"),
    [
        (f"scrub repaired 0B in 00:00:02 with 0 errors on {TIME}", SCRUB, FINISHED, 0),
        (f"scrub repaired 12K in 1 days 02:03:04 with 3 errors on {TIME}", SCRUB, FINISHED, 3),
        (f"resilvered 26.7M in 00:00:05 with 0 errors on {TIME}", RESILVER, FINISHED, 0),
        (f"resilvered 26.7M in 0 days 00:00:05 with 1 errors on {TIME}", RESILVER, FINISHED, 1),
        (f"scrub canceled on {TIME}", SCRUB, CANCELED, 0),
        (f"resilver canceled on {TIME}", RESILVER, CANCELED, 0),
        (f"scrub paused since {TIME}\n\tscrub started on Sun Nov 22 01:00:00 2026", SCRUB, PAUSED, 0),
        (f"scrub in progress since {TIME}", SCRUB, RUNNING, 0),
        (f"resilver in progress since {TIME}", RESILVER, RUNNING, 0),
        (f"resilver (mirror-0) in progress since {TIME}", RESILVER, RUNNING, 0),
    ],
)
def test_how_a_scan_stands(text: str, function: ScanFunction, state: ScanState, errors: int) -> None:
    assert scan_of(text) == Scan(function, state, AT, errors=errors, line=" ".join(text.split()))


@pytest.mark.parametrize(
    ("more", "issued", "total", "seconds"),
    [
        # 2.1
        (
            "\t1.20G scanned at 300M/s, 800M issued at 200M/s, 2.00G total\n\t0B repaired, 39.06% done, 00:00:06 to go",
            800 * MIB,
            2 * GIB,
            6,
        ),
        # 2.2 and later, while it still reads metadata and after
        (
            "\t1.2G / 2.0G scanned at 300M/s, 800M / 2.0G issued at 200M/s\n\t0B repaired, 39.06% done, 00:00:06 to go",
            800 * MIB,
            2 * GIB,
            6,
        ),
        (
            "\t2.00G / 2.00G scanned, 0B / 2.00G issued\n\t0B repaired, 0.00% done, no estimated completion time",
            0,
            2 * GIB,
            None,
        ),
        # 0.8, and very large pools
        (
            "\t1T scanned at 1G/s, 512G issued at 1G/s, 1.50T total\n\t0B repaired, 33.33% done, 1 days 02:03:04 to go",
            512 * GIB,
            1536 * GIB,
            93784,
        ),
        ("\t1073741824 / 2147483648 scanned, 536870912 / 2147483648 issued\n", 512 * MIB, 2 * GIB, None),
    ],
)
@pytest.mark.parametrize("function", ["scrub", "resilver"])
def test_how_far_it_has_come(function: str, more: str, issued: int, total: int, seconds: int | None) -> None:
    found = scan_of(f"{function} in progress since {TIME}\n{more}".replace("repaired", f"{function}ed"))
    assert found
    assert (found.issued, found.total, found.seconds_left) == (issued, total, seconds)


def test_a_paused_scrub_has_come_so_far() -> None:
    found = scan_of(f"scrub paused since {TIME}\n\tscrub started on {TIME}\n\t1.20G scanned, 800M issued, 2.00G total")
    assert found
    assert (found.state, found.issued, found.total) == (PAUSED, 800 * MIB, 2 * GIB)


def test_a_day_of_one_digit() -> None:
    found = scan_of("scrub repaired 0B in 00:00:02 with 0 errors on Sun Nov  1 02:46:28 2026")
    assert found
    assert found.clean_scrub == datetime(2026, 11, 1, 2, 46, 28, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "none requested", "something that nobody has seen yet"])
def test_no_scan(text: str) -> None:
    assert scan_of(text) is None
