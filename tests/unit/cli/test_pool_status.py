"""`ec2zfs pool status`: what it says of members, volumes that are kept, and scans; the picture and its colours."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.fakes.pools import volume
from tests.fakes.standing import NOW, standing, with_member, with_pool

from ec2zfs.cli.layout_picture import AWAY, GOOD, LOST, WORKING, picture_of
from ec2zfs.cli.output import Json, Output, emit
from ec2zfs.cli.pool_status import seconds, show_pool
from ec2zfs.cli.progress import JsonProgress
from ec2zfs.model.contents import OpenMapping
from ec2zfs.model.pool import DeviceState
from ec2zfs.model.scan import Scan, ScanFunction, ScanState
from ec2zfs.model.standing import Standing
from ec2zfs.model.volume import Retirement, Schedule

HEALTHY = standing()
FIRST = HEALTHY.pool.members[0]


def shown(stands: Standing, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What a program reads of a pool, by event."""
    output: Output = Json(JsonProgress(emit), emit)
    upkeep = SimpleNamespace(grace_days=7)
    session = SimpleNamespace(design=stands.design, output=output, configuration=SimpleNamespace(upkeep=upkeep))
    show_pool(cast("Any", session), stands.pool, stands.volumes, stands.view.opened)
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return {event.pop("event"): event for event in events}


def test_a_healthy_pool_is_told_member_by_member(capsys: pytest.CaptureFixture[str]) -> None:
    opened = (OpenMapping("cloud-v1s1-g1", 2**30, keyslots=(0, 2)),)
    told = shown(HEALTHY.seeing(replace(HEALTHY.view, opened=opened)), capsys)
    first = told["members"]["rows"][0]
    assert (len(told["vdevs"]["rows"]), len(told["members"]["rows"])) == (2, 6)
    assert (first["place"], first["generation"], first["GiB"], first["EC2"]) == ("v1s1", 1, 1, "attached")
    assert (first["state"], first["LUKS_slots"], first["note"]) == ("ONLINE", "0,2", "")
    assert (told["pool"]["healthy"], set(told) & {"kept", "enlarged_later", "not_in_the_pool", "scan"}) == (True, set())


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"replacing": True}, "replacing"),
        ({"replacing": True, "resilvering": True}, "replacing, resilvering"),
        ({"resilvering": True}, "resilvering"),
    ],
)
def test_what_happens_to_a_member_is_noted(
    changes: dict[str, bool], note: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = shown(with_member(HEALTHY, FIRST, **changes), capsys)
    assert told["members"]["rows"][0]["note"] == note


def test_what_is_kept_and_what_grows_later_is_told_with_its_times(capsys: pytest.CaptureFixture[str]) -> None:
    kept = volume("v1s1", 2, retirement=Retirement(NOW))
    unproven = volume("v1s2", 2, retirement=Retirement())
    later = replace(HEALTHY.volumes[0], schedule=Schedule(5, NOW + timedelta(hours=3)))
    told = shown(replace(HEALTHY, volumes=(later, *HEALTHY.volumes[1:], kept, unproven)), capsys)
    assert [row["deleted_after"] for row in told["kept"]["rows"]] == [(NOW + timedelta(days=7)).isoformat(), None]
    assert told["enlarged_later"]["rows"][0]["grows_to"] == 5
    assert datetime.fromisoformat(told["enlarged_later"]["rows"][0]["not_before"]) == NOW + timedelta(hours=3)


def test_a_scan_is_told_with_its_rate_and_the_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    line = "resilver in progress since now, 30M / 120M issued at 50.1M/s"
    scan = Scan(ScanFunction.RESILVER, ScanState.RUNNING, NOW, 30, 120, 90, line=line)
    told = shown(with_pool(HEALTHY, scan=scan), capsys)["scan"]
    assert (told["percent"], told["rate"], told["time_left"]) == (25.0, "50.1 MiB/s", "1 min 30 s")


@pytest.mark.parametrize(
    ("changes", "style"),
    [
        ({}, GOOD),
        ({"resilvering": True}, WORKING),
        ({"checksum_errors": 1}, WORKING),
        ({"state": DeviceState.DEGRADED}, WORKING),
        ({"state": DeviceState.FAULTED}, LOST),
        ({"state": DeviceState.REMOVED}, LOST),
        ({"state": DeviceState.OFFLINE}, AWAY),
    ],
)
def test_a_block_has_the_colour_of_its_state(changes: dict[str, object], style: str) -> None:
    picture = picture_of(with_member(HEALTHY, FIRST, **changes))
    assert str(picture.spans[0].style) == style
    assert picture.plain.count("g1") == 6


@pytest.mark.parametrize("text", ["0", "-1", "1e9", "nan"])
def test_an_interval_that_cannot_be_one_is_refused(text: str) -> None:
    with pytest.raises(Exception, match="is not between"):
        seconds(text)
