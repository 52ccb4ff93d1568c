"""How fresh a dataset is at the site and in the cloud, by the limits of its own policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from ec2zfs.model.policy import Keep, PolicyRule, Schedule, Tier
from ec2zfs.model.snapshot import Bookmark, Dataset, Snapshot
from ec2zfs.model.snapshot_name import snapshot_name
from ec2zfs.plan.cursors import cursor_name
from ec2zfs.plan.freshness import State, cloud_freshness, site_freshness

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
KEEPS = {Tier.SITE: {"hourly": Keep(9), "daily": Keep(9)}, Tier.STAGING: {}, Tier.CLOUD: {"daily": Keep(9)}}
SCHEDULE = Schedule(rules=(PolicyRule(("tank",), KEEPS), PolicyRule(("tank/none",), {tier: {} for tier in Tier})))


def dataset(hours: Mapping[str, Sequence[float]], copied: int | None = None, name: str = "tank") -> Dataset:
    """Snapshots of so many hours ago by period, the oldest first; `copied` is the place of the newest in the cloud."""
    ages = sorted(((age, period) for period, each in hours.items() for age in each), reverse=True)
    taken = [snapshot_name(NOW - timedelta(hours=age), period) for age, period in ages]
    snapshots = tuple(Snapshot(name, short, place + 1, place + 1) for place, short in enumerate(taken))
    guid = None if copied is None else copied + 1
    marks = () if guid is None else (Bookmark(name, cursor_name("cloud", guid), guid, guid),)
    return Dataset(name, 1, encrypted=False, snapshots=snapshots, bookmarks=marks)


# the ages of the snapshots, how the site stands, and why
AT_THE_SITE: dict[str, tuple[Mapping[str, Sequence[float]], State, str]] = {
    "all in time": ({"hourly": [0.9], "daily": [11.9]}, State.FINE, ""),
    "one was due and may be on its way": ({"hourly": [0.9], "daily": [35.9]}, State.FINE, ""),
    "hourly is late": ({"hourly": [2.9], "daily": [11.9]}, State.LATE, "hourly was missed 3 times"),
    "daily is late though hourly is not": (
        {"hourly": [0.9], "daily": [37]},
        State.LATE,
        "daily was missed 2 times",
    ),
    "hourly is broken": ({"hourly": [5], "daily": [11]}, State.BROKEN, "hourly was missed 4 times or more"),
    "nothing is there": ({}, State.BROKEN, "there is none yet"),
}


@pytest.mark.parametrize("case", AT_THE_SITE)
def test_the_site_is_judged_period_by_period(case: str) -> None:
    ages, state, reason = AT_THE_SITE[case]
    found = site_freshness(dataset(ages), SCHEDULE, NOW)
    assert (found.state, found.reason) == (state, reason)
    assert found.next_due == NOW + timedelta(hours=1)


# the ages of the snapshots, which of them the cloud has, how it stands, and why
IN_THE_CLOUD: dict[str, tuple[Mapping[str, Sequence[float]], int | None, State, str]] = {
    "the newest": ({"daily": [36, 12]}, 1, State.FINE, ""),
    "the one before": ({"daily": [36, 12]}, 0, State.FINE, ""),
    "two are missing": ({"daily": [60, 36, 12]}, 0, State.LATE, "daily was missed 2 times"),
    "four are missing": ({"daily": [120, 12]}, 0, State.BROKEN, "daily was missed 4 times or more"),
    "none yet, but it is new": ({"daily": [12]}, None, State.FINE, "there is none yet"),
    "none, for days": ({"daily": [80, 12]}, None, State.LATE, "there is none yet"),
}


@pytest.mark.parametrize("case", IN_THE_CLOUD)
def test_the_cloud_is_judged_by_the_sites_cursor(case: str) -> None:
    ages, copied, state, reason = IN_THE_CLOUD[case]
    found = cloud_freshness(dataset(ages, copied), "cloud", SCHEDULE, NOW, {})
    assert (found.state, found.reason) == (state, reason)
    assert (found.newest is None) == (copied is None)


def test_a_cursor_whose_snapshot_is_gone_is_dated_by_zfs() -> None:
    alone = dataset({"daily": [12]}, copied=7)
    marked = str(alone.bookmarks[0])
    found = cloud_freshness(alone, "cloud", SCHEDULE, NOW, {marked: NOW - timedelta(hours=60)})
    assert (found.state, found.newest) == (State.LATE, NOW - timedelta(hours=60))


def test_another_pools_cursor_is_no_copy_of_this_one() -> None:
    assert cloud_freshness(dataset({"daily": [12]}, 0), "other", SCHEDULE, NOW, {}).newest is None


def test_where_nothing_is_kept_nothing_is_late() -> None:
    for found in (
        site_freshness(dataset({}, name="tank/none"), SCHEDULE, NOW),
        cloud_freshness(dataset({}, name="tank/none"), "cloud", SCHEDULE, NOW, {}),
    ):
        assert (found.state, found.reason, found.next_due) == (State.FINE, "the policy keeps nothing here", None)
