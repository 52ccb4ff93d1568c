"""Which places a sweep tries."""

from __future__ import annotations

import pytest
from tests import sweep

CALLS = ["look", "make", "look", "make", "look", "end"]


@pytest.fixture(autouse=True)
def _strides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "_every", False)


def test_one_of_each_kind_all_over_the_run() -> None:
    assert sweep.places(CALLS) == [0, 3, 5]
    assert sweep.places(["make", *CALLS]) == [0, 3, 6]


def test_of_many_kinds_some_all_over_the_run() -> None:
    assert sweep.places(range(30), most=4) == [0, 7, 15, 22]
    assert len(sweep.places(range(100))) == 12
    assert sweep.places([]) == []


def test_or_every_one() -> None:
    with sweep.all_places():
        assert sweep.places(CALLS) == [0, 1, 2, 3, 4, 5]
    assert len(sweep.places(CALLS)) == 3


def test_what_was_seen_is_what_was_expected_and_all_of_it_where_every_place_was_tried() -> None:
    expected = {"first": {"old"}, "then": {"old", "new"}}
    some = {"then": {"new"}}
    sweep.require_seen(some, expected)
    with pytest.raises(AssertionError):
        sweep.require_seen({"first": {"new"}}, expected)
    with sweep.all_places():
        sweep.require_seen(expected, expected)
        with pytest.raises(AssertionError):
            sweep.require_seen(some, expected)
