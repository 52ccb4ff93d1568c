"""A preview tells what the run then does, and changes nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.fakes.day import Controller, Day
from tests.unit.runs.days import FIRST_DAY, NEXT_DAY

from ec2zfs.model.instance import Market
from ec2zfs.runs.preview import BackupPreview, preview_backup

LOOKS = {"ec2 volumes.volumes", "ec2 instances.instances", "ec2 instance type", "ec2 image", "site: zfs list"}


def previewed(day: Day) -> BackupPreview:
    """The preview of the next day's run; nothing was changed, and nothing but looks were asked for."""
    before, controller = day.shown(), Controller(day)
    preview = preview_backup(controller.parts(), NEXT_DAY)
    assert day.shown() == before
    assert {name for _, name in controller.cut.calls} <= {*LOOKS, "site: zfs_properties.sh", "site: zfs_sizes.sh"}
    return preview


# the market, what happens to the receiver
RECEIVERS = {
    Market.ON_DEMAND: ("start i-00000000000000001",),
    Market.SPOT: ("run a new m7g.medium in eu-central-1a, spot",),
}


@pytest.mark.parametrize("market", Market)
def test_before_the_first_day_all_histories_are_to_be_sent(market: Market) -> None:
    preview = previewed(Day(market))
    (action,) = preview.snapshots[:1]
    assert (action.name, action.datasets) == ("ec2zfs_2026-11-25T02:17:00Z_daily", ("tank", "tank/home"))
    assert tuple(map(str, preview.receiver)) == RECEIVERS[market]
    assert (preview.volumes, preview.volume_gib) == (2, {"gp3": 2})
    assert [dataset.replica.source for dataset in preview.replication.datasets] == ["tank", "tank/home", "www"]
    assert preview.bytes == 3 * 1000


def test_the_day_after_only_what_was_written_since_is_to_be_sent() -> None:
    day = Day()
    Controller(day).back_up(FIRST_DAY)
    assert previewed(day).bytes == 0
    day.change()
    assert previewed(day).bytes == 3 * 50


def test_snapshots_that_no_run_has_sent_yet_are_to_be_sent_as_well() -> None:
    day = Day()
    Controller(day).back_up(FIRST_DAY)
    day.site.zfs.snapshot("tank/home", "theirs too", 700)
    preview = previewed(day)
    (step,) = preview.replication.transfers
    assert (step.to.name, step.bytes, preview.bytes) == ("theirs too", 700, 700)
    report = Controller(day).back_up(NEXT_DAY)
    assert report.bytes == preview.bytes + 3 * 100


def test_what_a_killed_run_left_up_would_be_used() -> None:
    day = Day()
    left = Controller(day)
    left.receiver.start()
    (action,) = previewed(day).receiver
    assert str(action) == "use i-00000000000000001, which is up already"


def test_the_end_is_told_too() -> None:
    day = Day()
    told = previewed(day).ending.split(", ")
    controller = Controller(day)
    controller.back_up(NEXT_DAY + timedelta(days=1))
    assert told == [stage.name for stage in controller.journal.stages[-3:]]
