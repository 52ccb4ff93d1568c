"""`pool rekey --replace` is killed at each of its calls in turn, and each key opens the pool as long as it is to."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from tests import sweep
from tests.fakes.cloud import FakeVolumes
from tests.fakes.day import POOL_KEY, Controller, Day
from tests.fakes.key_machine import KeyMachine
from tests.fakes.pools import PAIR, ZONE
from tests.unit.runs.days import deaths_of, stages_of, unlocks

from ec2zfs.execute import rekeying, scans
from ec2zfs.hosts.secret import Secret
from ec2zfs.plan.replacement import Caution, Want
from ec2zfs.plan.volumes import current
from ec2zfs.runs.rekeying import Rekeyed, Renewal, rekey

NEW = Secret(b"the key that opens the pool from now on")
RENEWAL = Renewal(Want(1, "gp3", ZONE), Caution(timedelta(days=7), accept_degraded=True))
OLD_ALONE = ("", "start the receiver", "unlock the pool")
NEW_ALONE = ("delete what was kept long enough", "lock the pool", "stop the receiver")

OLD, BOTH, FRESH = (True, False), (True, True), (False, True)
"""Which of the two keys opens the pool."""


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rekeying, "DEVICE_SECONDS", 1)
    quick = partial(scans.await_scan, pace=scans.Pace(sleep=lambda _: None))
    monkeypatch.setattr("ec2zfs.runs.upkeep.await_scan", quick)


def renewed(controller: Controller) -> Rekeyed:
    """What the operator types; like a session it ends with leaving the receiver."""
    try:
        return rekey(controller.upkeep(), POOL_KEY, NEW, controller.journal, RENEWAL)
    finally:
        controller.receiver.leave()


def day_with(spare: int) -> Day:
    """A pool on a receiver that takes so many volumes more."""
    day = Day(machine=KeyMachine(FakeVolumes("cloud")))
    day.volumes.limit = PAIR.volumes + spare
    day.type = replace(day.type, attachments=day.volumes.limit + 2)
    return day


def opened_by(day: Day, key: Secret) -> set[str]:
    """The places of the current volumes that the key opens, with their generations."""
    assert isinstance(day.machine, KeyMachine)
    return day.machine.opened_by(key) & {each.mapping for each in current(day.volumes.paid)}


@pytest.mark.parametrize("spare", [0, 1])
def test_killed_at_any_call_both_keys_open_the_pool_until_the_old_one_is_removed(spare: int) -> None:
    seen: dict[str, set[tuple[bool, ...]]] = {}
    for death in deaths_of(day_with(spare), renewed, at_least=12):
        day = death.world
        day.dead_man_fires()
        keys = tuple(unlocks(day, key, accept_degraded=not spare) for key in (POOL_KEY, NEW))
        for stage in stages_of(death):
            seen.setdefault(stage, set()).add(keys)

        renewed(Controller(day))

        assert opened_by(day, POOL_KEY) == set()
        assert opened_by(day, NEW) == {"cloud-v1s1-g2", "cloud-v1s2-g2"}
        assert unlocks(day, NEW)
    expected = {stage: {BOTH} for stage in {*seen, "round 1 of 2", "round 2 of 2", "test the new key"}}
    expected |= {stage: {OLD} for stage in OLD_ALONE} | {stage: {FRESH} for stage in NEW_ALONE if stage in seen}
    expected |= {"add the new key": {OLD, BOTH}, "remove the old key": {BOTH, FRESH}}
    sweep.require_seen(seen, expected)
