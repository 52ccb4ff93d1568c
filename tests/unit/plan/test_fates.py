"""Until when each snapshot is kept, if all are taken in time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from ec2zfs.model.policy import Keep, PolicyRule, Schedule, Tier
from ec2zfs.model.snapshot import Dataset, Snapshot
from ec2zfs.model.snapshot_name import snapshot_name
from ec2zfs.plan.fates import fates
from ec2zfs.plan.pruning import TierRules

NOW = datetime(2026, 11, 25, 2, 17, tzinfo=UTC)


def told(names: list[str], keeps: dict[str, Keep], zone: str = "UTC") -> list[tuple[str, str]]:
    """The reason and the end for each snapshot."""
    schedule = Schedule(ZoneInfo(zone), rules=(PolicyRule(("tank",), {Tier.SITE: keeps}),))
    held = tuple(Snapshot("tank", name, place, place) for place, name in enumerate(names))
    rules = TierRules(lambda _name: keeps, "ec2zfs:period")
    found = fates(Dataset("tank", 1, encrypted=False, snapshots=held), rules, schedule, NOW)
    return [(each.verdict.reason, f"{each.until:%m-%d %H:%M}" if each.until else "") for each in found]


def daily(*ages: int) -> list[str]:
    return [snapshot_name(NOW - timedelta(days=age), "daily") for age in ages]


# the snapshots, what is kept, what is told
FATES = {
    "one after the other": (
        daily(2, 1, 0),
        {"daily": Keep(3)},
        [("daily 3 of 3", "11-26 00:00"), ("daily 2 of 3", "11-27 00:00"), ("daily 1 of 3", "11-28 00:00")],
    ),
    "what goes": (daily(1, 0), {"daily": Keep(1)}, [("daily 2 of 1", ""), ("daily 1 of 1", "11-26 00:00")]),
    "by age": (
        daily(1, 0),
        {"daily": Keep(9, timedelta(days=2))},
        [("daily 2 of 9", "11-26 02:17"), ("daily 1 of 9", "11-27 02:17")],
    ),
    "the newest stays until the next": (daily(9), {"daily": Keep(0)}, [("the newest daily", "11-26 00:00")]),
    "not ours": (["mine"], {"daily": Keep(1)}, [("ec2zfs did not make it", "")]),
    "no rule": (daily(0), {}, [("there is no rule for daily", "")]),
}


@pytest.mark.parametrize("case", FATES)
def test_until_when_a_snapshot_is_kept(case: str) -> None:
    names, keeps, expected = FATES[case]
    assert told(names, keeps) == expected


def test_the_end_is_by_the_configured_clock() -> None:
    assert told(daily(0), {"daily": Keep(1)}, "Europe/Berlin") == [("daily 1 of 1", "11-25 23:00")]
