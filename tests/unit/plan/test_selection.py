"""Which snapshots a copy is to get; and days of sending and pruning, after which it has what its rules keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ec2zfs.model.policy import Keep
from ec2zfs.model.snapshot import Bookmark, Dataset, Snapshot
from ec2zfs.model.snapshot_name import snapshot_name
from ec2zfs.plan.retention import judge
from ec2zfs.plan.selection import selected

NOW = datetime(2026, 11, 25, 0, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def source(*names: str, bookmarks: Sequence[int] = ()) -> Dataset:
    """Snapshots whose GUIDs and transaction groups are their places."""
    snapshots = tuple(Snapshot("tank", name, place, place) for place, name in enumerate(names))
    marks = tuple(Bookmark("tank", f"mark{place}", place, place) for place in bookmarks)
    return Dataset("tank", 1, encrypted=False, snapshots=snapshots, bookmarks=marks)


def copy(*places: int, of: Dataset) -> Dataset:
    there = tuple(Snapshot("cloud/tank", of.snapshots[place].name, place, place) for place in places)
    return Dataset("cloud/tank", 2, encrypted=False, snapshots=there)


def days(*periods: str) -> list[str]:
    return [snapshot_name(NOW - timedelta(days=len(periods) - place), name) for place, name in enumerate(periods)]


# the periods of the source's snapshots, what the copy has and keeps, and what it is to get
CHOICES: dict[str, tuple[list[str], tuple[int, ...], Mapping[str, Keep], list[int]]] = {
    "all that is kept": (days("daily", "daily", "daily"), (), {"daily": Keep(9)}, [0, 1, 2]),
    "what would be pruned at once does not come": (days("daily", "daily", "daily"), (), {"daily": Keep(2)}, [1, 2]),
    "what is there already counts": (days("daily", "daily", "daily"), (0, 1), {"daily": Keep(2)}, [2]),
    "periods without a rule do not come": (days("hourly", "daily", "hourly"), (), {"daily": Keep(2)}, [1]),
    "nor those of which none is kept": (days("daily", "hourly"), (), {"daily": Keep(2), "hourly": Keep(0)}, [0]),
    "what ec2zfs did not make comes always": (["mine", *days("hourly"), "and mine"], (), {}, [0, 2]),
    "age counts": (days("daily", "daily", "daily"), (), {"daily": Keep(9, timedelta(days=1, hours=1))}, [2]),
    "nothing is new": (days("daily", "daily"), (0, 1), {"daily": Keep(9)}, []),
}


@pytest.mark.parametrize("case", CHOICES)
def test_what_a_copy_is_to_get(case: str) -> None:
    names, there, keeps, wanted = CHOICES[case]
    before = source(*names)
    chosen = selected(before, copy(*there, of=before) if there else None, keeps, NOW)
    assert [snapshot.guid for snapshot in chosen.snapshots if snapshot.guid not in there] == wanted
    assert {*there} <= {snapshot.guid for snapshot in chosen.snapshots}, "both sides are compared by what is old"


def test_a_bookmark_is_a_base_too() -> None:
    whole = source(*days("daily", "daily", "hourly", "daily"))
    there = copy(0, 1, of=whole)
    pruned = Dataset(
        "tank", 1, encrypted=False, snapshots=whole.snapshots[2:], bookmarks=(Bookmark("tank", "c", 1, 1),)
    )
    assert [each.guid for each in selected(pruned, there, {"daily": Keep(9)}, NOW).snapshots] == [3]


@given(
    st.lists(st.sets(st.sampled_from(["hourly", "daily", "weekly"]), min_size=0), min_size=1, max_size=30),
    st.dictionaries(st.sampled_from(["hourly", "daily", "weekly"]), st.integers(0, 5).map(Keep)),
    st.data(),
)
def test_days_of_sending_and_pruning_leave_what_the_rules_keep(
    taken: list[set[str]], keeps: dict[str, Keep], data: st.DataObject
) -> None:
    """Whenever runs come, once the last has run the copy has the newest of each period that it keeps, and no more."""
    made, there = list[Snapshot](), list[Snapshot]()
    for hour, periods in enumerate(taken):
        now = NOW + hour * HOUR
        made += [
            Snapshot("tank", snapshot_name(now, period), hour * 10 + place, hour * 10 + place)
            for place, period in enumerate(sorted(periods))
        ]
        if hour == len(taken) - 1 or data.draw(st.booleans()):
            site = Dataset("tank", 1, encrypted=False, snapshots=tuple(made))
            there = _run(site, there, keeps, now)
    for period in ("hourly", "daily", "weekly"):
        newest = [each.guid for each in made if each.name.endswith(period)]
        wanted = newest[-keeps[period].count :] if period in keeps and keeps[period].count else []
        assert [each.guid for each in there if each.name.endswith(period)] == wanted


def _run(site: Dataset, there: list[Snapshot], keeps: Mapping[str, Keep], now: datetime) -> list[Snapshot]:
    target = Dataset("cloud/tank", 2, encrypted=False, snapshots=tuple(there)) if there else None
    newest = there[-1].createtxg if there else -1
    new = [each for each in selected(site, target, keeps, now).snapshots if each.createtxg > newest]
    return [verdict.snapshot for verdict in judge([*there, *new], keeps, {}, now) if verdict.kept]
