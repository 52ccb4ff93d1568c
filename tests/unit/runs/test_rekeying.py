"""`pool rekey` on the imagined world, cut off at every call: one key always opens all, and the next call finishes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from tests import sweep
from tests.fakes.cloud import FakeVolumes
from tests.fakes.day import POOL_KEY, Controller, Cut, Day
from tests.fakes.fuse import Killed
from tests.fakes.key_machine import KeyMachine
from tests.fakes.pools import PAIR, ZONE, design
from tests.unit.runs.days import LOCKING, STOPPING, deaths_of, ran, require_rest, runs_of, stage_of, stages_of

from ec2zfs.cloud.protocols import VolumeOrder
from ec2zfs.errors import Ec2zfsError, Refused, WrongPoolKey
from ec2zfs.execute import rekeying
from ec2zfs.hosts.secret import Secret
from ec2zfs.model.volume import Retirement, Volume, VolumeState
from ec2zfs.plan.pool import FormatVolume, Holding, OpenVolume
from ec2zfs.plan.replacement import Caution, Want
from ec2zfs.plan.upkeep import Step
from ec2zfs.runs import rekeying as runs
from ec2zfs.runs.rekeying import Rekeyed, Renewal, rekey
from ec2zfs.runs.stages import Journal
from ec2zfs.runs.upkeep import OpenPool

NEW = Secret(b"the key that opens the pool from now on")
OTHER = Secret(b"a key that never opened anything at all")
ADD, TEST, REMOVE = "add the new key", "test the new key", "remove the old key"
STAGES = ["start the receiver", "unlock the pool", ADD, TEST, REMOVE, LOCKING, STOPPING]
ALL = {"cloud-v1s1-g1", "cloud-v1s2-g1"}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rekeying, "DEVICE_SECONDS", 1)


@pytest.fixture
def day() -> Day:
    return Day(machine=KeyMachine(FakeVolumes("cloud")))


def machine(day: Day) -> KeyMachine:
    assert isinstance(day.machine, KeyMachine)
    return day.machine


def opened_by(day: Day, key: Secret) -> bool:
    return machine(day).opened_by(key) == ALL


def rekeyed(controller: Controller, old: Secret = POOL_KEY, new: Secret = NEW) -> Rekeyed:
    return rekey(controller.upkeep(), old, new, controller.journal)


def cut_off(controller: Controller) -> None:
    try:
        rekeyed(controller)
    except Ec2zfsError:
        return


def test_the_stages_and_what_they_tell(day: Day) -> None:
    controller = Controller(day)
    done = rekeyed(controller)
    assert ran(controller) == [(name, False) for name in STAGES]
    told = {stage.name: stage.outcome for stage in controller.journal.stages}
    assert (told[ADD], told[TEST], told[REMOVE]) == (
        "it opens 2 volumes",
        "it opens all 2 volumes",
        "removed from 2 of 2 volumes; only the new key opens the pool",
    )
    assert ({each.mapping for each in done.volumes}, done.kept, done.pool.healthy) == (ALL, (), True)
    assert (machine(day).opened_by(POOL_KEY), opened_by(day, NEW)) == (set(), True)
    require_rest(day)


def test_twice_is_fine_and_the_old_key_is_not_missed(day: Day) -> None:
    rekeyed(Controller(day))
    controller = Controller(day)
    rekeyed(controller)
    assert controller.journal.stages[4].outcome.startswith("removed from 0 of 2 volumes")
    assert opened_by(day, NEW)


def test_killed_at_any_call_one_key_opens_everything_and_the_next_call_finishes(day: Day) -> None:
    seen: dict[str, set[str]] = {}
    for death in deaths_of(day, cut_off, at_least=11):
        world = death.world
        keys = {name for name, key in (("old", POOL_KEY), ("new", NEW)) if opened_by(world, key)}
        for stage in stages_of(death):
            seen.setdefault(stage, set()).add(" ".join(sorted(keys)))
        rekeyed(Controller(world))
        assert (machine(world).opened_by(POOL_KEY), opened_by(world, NEW)) == (set(), True)
    expected = {"": {"old"}, "start the receiver": {"old"}, "unlock the pool": {"old"}, ADD: {"old", "new old"}}
    expected |= {TEST: {"new old"}, REMOVE: {"new old", "new"}, LOCKING: {"new"}, STOPPING: {"new"}}
    sweep.require_seen(seen, expected)


def test_a_failure_at_any_call_leaves_nothing_open(day: Day) -> None:
    def failing(call: int) -> Cut:
        return Cut(call, failure=lambda name: Ec2zfsError(f"{name} failed"))

    for world, controller in runs_of(day, failing, work=cut_off, only=["receiver:"]):
        cut_off(controller)
        if stage_of(controller) in (ADD, TEST, REMOVE):
            assert [stage.name for stage in controller.journal.stages[-2:]] == [LOCKING, STOPPING]
            require_rest(world)


def test_keys_that_open_nothing_change_nothing(day: Day) -> None:
    with pytest.raises(WrongPoolKey):
        rekeyed(Controller(day), OTHER, NEW)
    assert opened_by(day, POOL_KEY)
    require_rest(day)


def test_equal_keys_are_refused_before_anything_is_started(day: Day) -> None:
    controller = Controller(day)
    with pytest.raises(Refused, match="The old and the new pool key are the same"):
        rekeyed(controller, POOL_KEY, POOL_KEY)
    assert controller.cut.calls == []


def test_a_pool_without_encryption_has_no_key(day: Day) -> None:
    controller = Controller(day)
    parts = replace(controller.upkeep(), design=design(PAIR, encrypted=False))
    with pytest.raises(Refused, match="The pool has no encryption"):
        rekey(parts, POOL_KEY, NEW, controller.journal)
    assert controller.cut.calls == []


class Rounds:
    """Stands in for `replace_in_rounds`: one volume after the other, and with `stop` killed when it has formatted one.

    `stale` is what was to be replaced, by place; `opened` which volumes the old key opened after each formatting.
    """

    def __init__(self, day: Day) -> None:
        self.day, self.stop = day, False
        self.stale: list[set[str]] = []
        self.opened: list[set[str]] = []

    def __call__(
        self, pool: OpenPool, want: Want, caution: Caution, journal: Journal, *, after: Callable[[Step], None]
    ) -> None:
        assert pool.keys is not None
        assert caution == RENEWAL.caution
        old = [each for each in pool.observe().current if each.id in want.stale]
        self.stale.append({each.mapping for each in old})
        for each in old:
            new = self._bought(pool, each)
            machine(self.day).headers[new.serial] = (new.mapping, pool.keys.key(new.mapping).reveal())
            if self.stop:
                raise Killed("formatted")
            after((FormatVolume(new, Holding.BLANK), OpenVolume(new)))
            self.opened.append(machine(self.day).opened_by(POOL_KEY))
            self._replace(each, new)

    def _bought(self, pool: OpenPool, old: Volume) -> Volume:
        ec2 = self.day.volumes
        new = ec2.create(VolumeOrder(old.place, old.generation + 1, old.size_gib, old.type, old.zone))
        ec2.awaited([new.id], lambda each: each.state is not VolumeState.CREATING, 9)
        instance = pool.observe().instance
        ec2.attach(new, instance, f"/dev/xvdb{'abcdef'[ec2.made]}")
        (made,) = ec2.awaited([new.id], lambda each: pool.observe().attached(each), 9)
        return made

    def _replace(self, old: Volume, new: Volume) -> None:
        here = machine(self.day)
        here.members = tuple(new.mapping if name == old.mapping else name for name in here.members)
        here.open[new.mapping] = new.serial
        del here.open[old.mapping]
        self.day.volumes._set(replace(old, state=VolumeState.AVAILABLE, attachment=None, retirement=Retirement()))


RENEWAL = Renewal(Want(1, "gp3", ZONE), Caution(timedelta(days=7)))
OLD_ONES = {"cloud-v1s1-g1", "cloud-v1s2-g1"}
NEW_ONES = {"cloud-v1s1-g2", "cloud-v1s2-g2"}


@pytest.fixture
def rounds(day: Day, monkeypatch: pytest.MonkeyPatch) -> Rounds:
    made = Rounds(day)
    monkeypatch.setattr(runs, "replace_in_rounds", made)
    monkeypatch.setattr(runs, "scrub_after", lambda *_: None)
    monkeypatch.setattr(runs, "expire", lambda *_: None)
    return made


def renewed(day: Day) -> Rekeyed:
    controller = Controller(day)
    return rekey(controller.upkeep(), POOL_KEY, NEW, controller.journal, RENEWAL)


def test_with_replacement_every_volume_is_made_under_the_new_key(day: Day, rounds: Rounds) -> None:
    done = renewed(day)
    assert rounds.stale == [OLD_ONES]
    assert rounds.opened == [OLD_ONES | {"cloud-v1s1-g2"}, OLD_ONES | NEW_ONES]
    assert {each.mapping for each in done.volumes} == NEW_ONES
    assert {each.mapping for each in done.kept} == OLD_ONES
    assert (machine(day).opened_by(POOL_KEY), machine(day).opened_by(NEW)) == (OLD_ONES, OLD_ONES | NEW_ONES)
    require_locked(day)


def test_killed_between_a_format_and_its_second_key_the_next_call_finishes(day: Day, rounds: Rounds) -> None:
    rounds.stop = True
    with pytest.raises(Killed):
        renewed(day)
    assert machine(day).opened_by(POOL_KEY) == OLD_ONES
    rounds.stop = False
    renewed(day)
    assert machine(day).opened_by(NEW) == OLD_ONES | NEW_ONES
    assert machine(day).opened_by(POOL_KEY) == OLD_ONES


def test_with_replacement_nothing_is_replaced_twice(day: Day, rounds: Rounds) -> None:
    renewed(day)
    renewed(day)
    assert rounds.stale == [OLD_ONES, set()]


def require_locked(day: Day) -> None:
    assert (day.machine.imported, day.machine.mappings) == ([], [])
