"""What a process leaves that is killed is one of the worlds that `deaths_of` takes from a whole run."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest
from tests import sweep
from tests.fakes import zfs_pool
from tests.fakes.day import Controller, Cut, Day
from tests.fakes.deaths import written
from tests.fakes.fuse import Killed, Moment
from tests.unit.runs.days import FIRST_DAY, deaths_of, runs_of


def create(controller: Controller) -> None:
    zfs_pool.GUIDS = count(0x9000)
    controller.create_pool()


def back_up(controller: Controller) -> None:
    zfs_pool.GUIDS = count(0x9000)
    controller.back_up(FIRST_DAY)


@pytest.mark.parametrize(("work", "made"), [(create, False), (back_up, True)])
@pytest.mark.parametrize("moment", Moment)
def test_a_death_leaves_one_of_them(
    work: Callable[[Controller], None], made: bool, moment: Moment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zfs_pool, "GUIDS", zfs_pool.GUIDS)
    before = Day(made=made)
    with sweep.all_places():
        expected = {written(vars(death.world)) for death in deaths_of(before, work, at_least=15)}
    for day, dying in runs_of(before, lambda call: Cut(call, moment), work=work):
        with pytest.raises(Killed):
            work(dying)
        assert written(vars(day)) in expected, dying.cut.calls[-1]
