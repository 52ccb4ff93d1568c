"""Which snapshots stay and which go; and a year of taking and pruning, day by day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ec2zfs.model.period import STANDARD, Period
from ec2zfs.model.policy import Keep, PolicyRule, Schedule, Tier
from ec2zfs.model.snapshot import Dataset, Snapshot
from ec2zfs.model.snapshot_name import periods_of, snapshot_name, snapshot_parts
from ec2zfs.plan.calendar import due_on
from ec2zfs.plan.due import plan_snapshots
from ec2zfs.plan.retention import given_up, judge

NOW = datetime(2026, 11, 25, 2, 17, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
DATASET = "tank/home"
LATE = timedelta(minutes=17)


def snapshot(name: str, txg: int) -> Snapshot:
    return Snapshot(DATASET, name, 1000 + txg, txg)


def daily(count: int) -> list[Snapshot]:
    """Daily snapshots, the last one of today."""
    return [snapshot(snapshot_name(NOW - timedelta(days=count - 1 - n), "daily"), n) for n in range(count)]


def told(snapshots: Sequence[Snapshot], keeps: dict[str, Keep], shields: dict[int, str] | None = None) -> list[str]:
    return [str(verdict).partition("@")[2] for verdict in judge(snapshots, keeps, shields or {}, NOW)]


def test_the_newest_of_each_period_stay() -> None:
    monthly = snapshot("ec2zfs_2026-11-01T02:17:00Z_monthly", 50)
    assert told([*daily(3), monthly], {"daily": Keep(2), "monthly": Keep(5)}) == [
        "ec2zfs_2026-11-23T02:17:00Z_daily: daily 3 of 2",
        "ec2zfs_2026-11-24T02:17:00Z_daily: daily 2 of 2",
        "ec2zfs_2026-11-25T02:17:00Z_daily: daily 1 of 2",
        "ec2zfs_2026-11-01T02:17:00Z_monthly: monthly 1 of 5",
    ]


def test_what_is_too_old_goes_though_the_number_would_keep_it() -> None:
    assert told(daily(3), {"daily": Keep(9, timedelta(days=1))}) == [
        "ec2zfs_2026-11-23T02:17:00Z_daily: daily older than 1 days",
        "ec2zfs_2026-11-24T02:17:00Z_daily: daily 2 of 9",
        "ec2zfs_2026-11-25T02:17:00Z_daily: daily 1 of 9",
    ]


@pytest.mark.parametrize(
    ("name", "keeps", "reason"),
    [
        ("before the upgrade", {"daily": Keep(0)}, "ec2zfs did not make it"),
        ("ec2zfs_2020-01-01T00:00:00Z_", {"": Keep(0)}, "ec2zfs did not make it"),
        ("zfs-auto-snap_daily-2020-01-01", {"daily": Keep(0)}, "ec2zfs did not make it"),
        ("ec2zfs_2020-01-01T00:00:00Z_daily", {"daily": Keep(0)}, "the newest daily"),
        ("ec2zfs_2020-01-01T00:00:00Z_daily", {"daily": Keep(5, timedelta(days=9))}, "the newest daily"),
        ("ec2zfs_2020-01-01T00:00:00Z_fortnightly", {"daily": Keep(0)}, "there is no rule for fortnightly"),
    ],
)
def test_what_stays_whatever_the_rules_say(name: str, keeps: dict[str, Keep], reason: str) -> None:
    (verdict,) = judge([snapshot(name, 1)], keeps, {}, NOW)
    assert (verdict.kept, verdict.reason) == (True, reason)


def test_a_shield_keeps_what_the_rules_would_not() -> None:
    oldest, *_, newest = snapshots = daily(4)
    shields = {oldest.guid: "held by ec2zfs:cloud", newest.guid: "held by ec2zfs:cloud"}
    assert [verdict.reason for verdict in judge(snapshots, {"daily": Keep(1)}, shields, NOW)] == [
        "held by ec2zfs:cloud",
        "daily 3 of 1",
        "daily 2 of 1",
        "daily 1 of 1",
    ]


PERIOD_NAMES = st.sampled_from(["hourly", "daily", "weekly", "fortnightly"])
KEEPS = st.dictionaries(
    PERIOD_NAMES, st.builds(Keep, st.integers(0, 6), st.none() | st.timedeltas(timedelta(hours=1), timedelta(days=90)))
)
HISTORIES = st.lists(st.tuples(st.integers(0, 100 * 24), st.none() | PERIOD_NAMES), unique=True, max_size=60).map(
    lambda drawn: _history(sorted(drawn, key=lambda each: -each[0]))
)


def _history(ages: Sequence[tuple[int, str | None]]) -> list[Snapshot]:
    """Snapshots of so many hours ago, of a period or by hand, oldest first."""
    names = [snapshot_name(NOW - timedelta(hours=age), period) if period else f"by hand {age}" for age, period in ages]
    return [snapshot(name, txg) for txg, name in enumerate(names)]


@given(HISTORIES, KEEPS, st.sets(st.integers(1000, 1059)))
def test_whatever_the_history_and_the_rules(history: list[Snapshot], keeps: dict[str, Keep], held: set[int]) -> None:
    shields = dict.fromkeys(held, "held")
    verdicts = judge(history, keeps, shields, NOW)
    left = [verdict.snapshot for verdict in verdicts if verdict.kept]
    gone = [verdict.snapshot for verdict in verdicts if not verdict.kept]

    assert [verdict.snapshot for verdict in verdicts] == history
    assert given_up(history, keeps, shields, NOW) == [verdict for verdict in verdicts if not verdict.kept]
    assert all(verdict.kept for verdict in judge(left, keeps, shields, NOW)), "pruning twice is pruning once"
    assert not held & {each.guid for each in gone}
    assert all(periods_of([each.name])[0] in keeps for each in gone), "what has no rule, or was made by hand, stays"
    for period, keep in keeps.items():
        ours = [each for each in history if periods_of([each.name]) == [period]]
        by_rule = [each for each in left if periods_of([each.name]) == [period] and each.guid not in held]
        assert len(by_rule) <= max(1, keep.count)
        assert not ours or ours[-1] in left, "the newest stays"
        young = [each for each in ours if keep.age is None or _age(each) <= keep.age]
        assert set(young[max(0, len(young) - keep.count) :]) <= set(left), "no fewer than the number says"


@given(
    st.lists(
        st.from_regex(
            r"(ec2zfs_2026-11-2[0-9]T0[0-9]:17:00Z_[a-z][a-z0-9-]{0,5}|[a-zA-Z0-9 _:.-]{1,9})", fullmatch=True
        )
    )
)
def test_the_periods_of_many_names_are_those_of_each(names: list[str]) -> None:
    assert periods_of(names) == [parts.period if (parts := snapshot_parts(name)) else "" for name in names]


def _age(each: Snapshot) -> timedelta:
    parts = snapshot_parts(each.name)
    assert parts
    return NOW - datetime.fromisoformat(parts.time)


def test_a_year_by_the_clock_gives_exactly_the_expected_snapshots() -> None:
    """Hour by hour through two changes of the clocks, each run a little late."""
    keeps = {
        "hourly": Keep(12),
        "mid-day": Keep(10),
        "daily": Keep(8),
        "weekly": Keep(5),
        "monthly": Keep(6),
        "biannual": Keep(3),
        "annual": Keep(2),
    }
    schedule = Schedule(BERLIN, rules=(PolicyRule((DATASET,), {Tier.SITE: keeps, Tier.STAGING: {}, Tier.CLOUD: {}}),))
    begin = datetime(2025, 12, 31, 23, 0, tzinfo=UTC) + LATE
    hours, held = 366 * 24, Dataset(DATASET, 1, encrypted=False)
    for hour in range(hours):
        now = begin + timedelta(hours=hour)
        held = _run(held, schedule, now, hour)
    expected = {name: _last_dues(period, keeps[name].count, now) for name, period in _STANDARD.items()}
    found = {name: [_when(each) for each in held.snapshots if periods_of([each.name]) == [name]] for name in keeps}
    assert found == expected


_STANDARD = {period.name: period for period in STANDARD}


def _run(held: Dataset, schedule: Schedule, now: datetime, hour: int) -> Dataset:
    taken = [
        snapshot(action.name, hour * 10 + number) for number, action in enumerate(plan_snapshots([held], schedule, now))
    ]
    policy = schedule.policy_of(DATASET)
    assert policy
    verdicts = judge((*held.snapshots, *taken), policy.of(Tier.SITE), {}, now)
    return Dataset(DATASET, 1, encrypted=False, snapshots=tuple(each.snapshot for each in verdicts if each.kept))


def _last_dues(period: Period, count: int, now: datetime) -> list[datetime]:
    """The last so many due times of the year, each found by looking at every day for itself."""
    first = datetime(2026, 1, 1, tzinfo=BERLIN).date()
    dues = [due for day in range(367) for due in due_on(period, BERLIN, first + timedelta(days=day)) if due <= now]
    return dues[-count:]


def _when(each: Snapshot) -> datetime:
    parts = snapshot_parts(each.name)
    assert parts
    return datetime.fromisoformat(parts.time) - LATE
