"""How often a growth calls EC2: bounded by a number, and one for each volume and round. Waits are one call here each;
against EC2 a wait asks again every two seconds, for all volumes together.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from tests.fakes import day
from tests.fakes.day import POOL_KEY, Controller, Day
from tests.fakes.pools import ZONE
from tests.unit.runs.test_upkeep_cut_off import CAREFUL

from ec2zfs.execute import scans
from ec2zfs.model.layout import Layout, Redundancy
from ec2zfs.plan.growth import Strategy
from ec2zfs.plan.replacement import Want
from ec2zfs.runs.growth import grow

SHAPES = ((1, 3), (1, 8), (2, 3), (2, 6), (3, 6))
START_AND_STOP = 17
"""To find, start, open for the controller and stop the receiver, and to ask for its type and image."""


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = partial(scans.await_scan, pace=scans.Pace(sleep=lambda _: None))
    monkeypatch.setattr("ec2zfs.runs.upkeep.await_scan", quick)
    monkeypatch.setattr(day, "TYPE", replace(day.TYPE, attachments=60))


def calls(vdevs: int, slots: int, way: Strategy) -> int:
    controller = Controller(Day(layout=Layout(Redundancy.RAIDZ1, vdevs, slots, 1)))
    grow(controller.upkeep(), Want(2, "gp3", ZONE), way, CAREFUL, POOL_KEY, controller.journal)
    return sum(name.startswith("ec2 ") for _, name in controller.cut.calls)


@pytest.mark.parametrize(("vdevs", "slots"), SHAPES)
def test_in_place_it_is_one_for_each_volume_and_a_dozen_looks(vdevs: int, slots: int) -> None:
    assert calls(vdevs, slots, Strategy.IN_PLACE) <= START_AND_STOP + 12 + vdevs * slots


@pytest.mark.parametrize(("vdevs", "slots"), SHAPES)
def test_by_replacement_it_is_four_for_each_volume_and_fourteen_looks_a_round(vdevs: int, slots: int) -> None:
    rounds = slots
    assert calls(vdevs, slots, Strategy.REPLACEMENT) <= START_AND_STOP + 24 + 14 * rounds + 4 * vdevs * slots
