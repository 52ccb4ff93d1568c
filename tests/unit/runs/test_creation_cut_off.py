"""`pool create` is killed or interrupted at each of its calls in turn, in an imagined world that has nothing yet.

What it comes to is always the same: the one pool as it was asked for, locked, and no volume paid for twice.
"""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path

import pytest
from tests.fakes.cloud import FakeVolumes
from tests.fakes.day import Controller, Cut, Day
from tests.fakes.fuse import Killed, Moment
from tests.fakes.pool_machine import PoolMachine
from tests.fakes.pools import PAIR
from tests.fakes.world import NEVER
from tests.unit.runs.days import (
    FIRST_DAY,
    RESTING,
    ScriptedMachine,
    deaths_of,
    living,
    machine_of,
    require_complete,
    require_rest,
    runs_of,
)

from ec2zfs.errors import CommandFailed
from ec2zfs.model.instance import Market

MEMBERS = tuple(f"cloud-{place}-g1" for place in PAIR.places())
UP = {"pending", "running"}


def require_pool(day: Day) -> None:
    """The pool stands on its volumes as it was asked for, and is locked."""
    machine = machine_of(day)
    assert (machine.members, machine.exported, sorted(machine.open)) == (MEMBERS, True, [])
    assert tuple(name for name, _ in machine.headers.values()) == MEMBERS
    assert [volume.place for volume in day.volumes.paid] == list(PAIR.places())
    assert day.volumes.made == PAIR.volumes, "a volume was paid for twice"


def require_order(day: Day) -> None:
    """Nothing is open, and what there is of a receiver rests."""
    assert (day.machine.imported, day.machine.mappings, machine_of(day).left_open) == ([], [], 0)
    assert day.group.rules == ()
    assert living(day) in ([], RESTING[day.market])


@pytest.mark.parametrize("off", [False, True], ids=["found as it was", "switched off meanwhile"])
@pytest.mark.parametrize("market", Market)
def test_killed_at_any_call_and_run_again_there_is_the_one_pool(market: Market, off: bool) -> None:
    late = PoolMachine(FakeVolumes("cloud", unseen_looks=2))
    nothing = Day(market, late, made=False)
    for death in deaths_of(nothing, Controller.create_pool, at_least=16):
        day = death.world
        if off:
            day.dead_man_fires()
        was_up = UP & {*living(day)}
        again = Controller(day)
        again.create_pool()
        require_pool(day)
        if was_up and living(day) == ["running"]:
            # Nobody can say whether an operator wants it: it stays up until its dead-man fires or a run stops it.
            Controller(day).back_up(FIRST_DAY)
            require_complete(day)
        require_rest(day)


@pytest.mark.parametrize("market", Market)
@pytest.mark.parametrize("moment", Moment)
def test_an_interrupt_at_any_call_ends_in_good_order_and_the_next_run_finishes(moment: Moment, market: Market) -> None:
    nothing = Day(market, made=False)
    for day, controller in runs_of(
        nothing, lambda call: Cut(call, moment, KeyboardInterrupt), work=Controller.create_pool
    ):
        with pytest.raises(KeyboardInterrupt) as raised:
            controller.create_pool()
        assert raised.value is controller.cut.raised
        require_order(day)
        Controller(day).create_pool()
        require_pool(day)
        require_rest(day)


@pytest.mark.parametrize("market", Market)
@pytest.mark.parametrize("moment", Moment)
def test_an_interrupt_at_any_call_leaves_a_receiver_up_that_was_up_before(moment: Moment, market: Market) -> None:
    before = Day(market, made=False)
    operator = Controller(before)
    operator.receiver.start()
    operator.receiver.leave()
    for day, controller in runs_of(
        before, lambda call: Cut(call, moment, KeyboardInterrupt), work=Controller.create_pool
    ):
        with pytest.raises(KeyboardInterrupt):
            controller.create_pool()
        closing = controller.cut.calls[controller.cut.call - 1][1] == "ec2 group.close"
        for _ in range(2):
            assert (living(day), day.machine.imported, day.machine.mappings) == (["running"], [], [])
            assert closing or day.group.rules == ()
            Controller(day).create_pool()
            require_pool(day)


# On the receiver, where the scripts themselves run


def require_the_one_pool(machine: ScriptedMachine) -> None:
    """The same, as the scripts left it."""
    world = machine.world
    assert (world.pools, world.imported, world.mappings) == (["cloud"], [], [])
    formatted = [effect for effect in world.effects if effect in {f"luksFormat {name}" for name in MEMBERS}]
    assert len(formatted) == PAIR.volumes, "a formatted volume was formatted again"
    assert world.volumes.made == PAIR.volumes, "a volume was paid for twice"


def test_scripts_that_are_killed_after_any_effect(tmp_path: Path) -> None:
    whole = ScriptedMachine(tmp_path / "whole")
    Controller(Day(machine=whole, made=False)).create_pool()
    require_the_one_pool(whole)
    effects = len(whole.world.effects)
    assert effects == 13  # of each volume: three steps of luksFormat, open and close; zgenhostid; create; export
    for effect in range(1, effects + 1):
        machine = ScriptedMachine(tmp_path / str(effect))
        day = Day(machine=machine, made=False)
        machine.world.kill_after(effect)
        with pytest.raises(CommandFailed, match="ended by signal 9"):
            Controller(day).create_pool()
        assert (machine.imported, machine.mappings, living(day), day.group.rules) == ([], [], ["stopped"], ())
        Controller(day).create_pool()
        require_the_one_pool(machine)


@pytest.mark.parametrize("seed", range(4))
def test_any_number_of_deaths(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    machine = ScriptedMachine(tmp_path)
    day = Day(machine=machine, made=False)
    for _ in range(chance.randint(2, 4)):
        dying = Controller(day, Cut(chance.randint(20, 45), chance.choice(list(Moment))))
        machine.world.kill_after(chance.randint(1, 13))
        with suppress(Killed, CommandFailed):
            dying.create_pool()
        if chance.random() < 0.5:
            day.dead_man_fires()
    machine.world.kill_after(NEVER)
    Controller(day).create_pool()
    require_the_one_pool(machine)
