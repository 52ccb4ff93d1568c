"""The property on the receiver: stop `CloudPool` after any effect of its scripts, do it again, and all is well.

And volumes that are bought by many calls at a time, some of which were cut off, are not paid for twice. `pool create`
as a whole is cut off in tests/unit/runs/test_creation_cut_off.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fakes.fuse import Fuse, Killed, Moment
from tests.fakes.pools import PAIR, SIX, design, instance, instance_type, wish
from tests.fakes.world import NEVER, World, attached

from ec2zfs.errors import CommandFailed
from ec2zfs.execute import opening, pool
from ec2zfs.execute.pool import CloudPool
from ec2zfs.execute.volumes import VolumeFleet
from ec2zfs.hosts.secret import Secret
from ec2zfs.model.layout import Layout, Redundancy
from ec2zfs.model.volume import Volume
from ec2zfs.plan.volumes import plan_creation
from ec2zfs.tools import volume_keys

KEY = Secret(b"the key that opens the pool, and no other")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume_keys, "_COST", 2)
    for module in (opening, pool):
        monkeypatch.setattr(module, "DEVICE_SECONDS", 1)


class Receiver:
    """A receiver with the attached volumes of a layout, on which `create` makes the pool, or finishes making it."""

    def __init__(self, directory: Path, layout: Layout = PAIR) -> None:
        self.world = World(directory)
        self.layout = layout
        self.volumes: list[Volume] = attached(self.world, layout)
        self.pool = CloudPool(self.world.host, design(layout))

    def create(self) -> None:
        self.pool.create(KEY, self.volumes)

    def require_the_one_pool(self) -> None:
        """The end state, whatever happened before."""
        world, members = self.world, [f"cloud-{place}-g1" for place in self.layout.places()]
        assert (world.pools, world.imported, world.mappings) == (["cloud"], ["cloud"], sorted(members))
        formatted = [effect for effect in world.effects if effect in {f"luksFormat {name}" for name in members}]
        assert len(formatted) == len(members), "a formatted volume was formatted again"


@pytest.mark.parametrize("receiver", ["lives", "dies"])
def test_creating_is_killed_after_any_effect_with_nobody_to_clean_up(tmp_path: Path, receiver: str) -> None:
    whole = Receiver(tmp_path / "whole")
    whole.create()
    effects = len(whole.world.effects)
    assert effects == 10  # of each volume: three steps of luksFormat, and open; zgenhostid; create
    for effect in range(1, effects + 1):
        there = Receiver(tmp_path / str(effect))
        there.world.kill_after(effect)
        with pytest.raises(CommandFailed, match="ended by signal 9"):
            there.create()
        there.world.kill_after(NEVER)
        if receiver == "dies":
            there.world.reboot()
        there.create()
        there.require_the_one_pool()


@pytest.mark.parametrize("receiver", ["lives", "dies"])
def test_unlock_and_lock_are_killed_after_any_effect(tmp_path: Path, receiver: str) -> None:
    there = Receiver(tmp_path / "world")
    world, cloud = there.world, there.pool
    there.create()
    cloud.lock()
    for effect in range(1, 8):  # zgenhostid, two mappings and the import; the export and two mappings again
        world.kill_after(effect)
        with pytest.raises(CommandFailed, match="ended by signal 9"):  # noqa: PT012 - one of the two, as it comes
            cloud.unlock(KEY, there.volumes)
            cloud.lock()
        world.kill_after(NEVER)
        if receiver == "dies":
            world.reboot()
        cloud.unlock(KEY, there.volumes)
        assert cloud.status().healthy
        cloud.lock()
        assert (world.mappings, world.imported) == ([], [])


@pytest.mark.parametrize(
    "layout", [PAIR, SIX, Layout(Redundancy.RAIDZ2, 1, 3, 2), Layout(Redundancy.MIRROR, 2, 2, 1)], ids=str
)
def test_layouts_with_every_redundancy(tmp_path: Path, layout: Layout) -> None:
    there = Receiver(tmp_path, layout)
    there.create()
    there.require_the_one_pool()


@pytest.mark.parametrize("call", [3, 9, 14])
def test_the_controller_dies_with_many_calls_under_way(tmp_path: Path, call: int) -> None:
    world = World(tmp_path / "world", unseen_looks=1)
    with pytest.raises(Killed):
        buy(world, Fuse(call, Moment.AFTER))
    buy(world, Fuse())
    assert [volume.place for volume in world.volumes.paid] == list(SIX.places())
    assert world.volumes.made == SIX.volumes
    assert all(volume.attachment for volume in world.volumes.paid)


def buy(world: World, fuse: Fuse) -> None:
    fleet = VolumeFleet(fuse.wrap(world.volumes), workers=6)
    fleet.carry_out(plan_creation(wish(SIX), fleet.volumes()))
    fleet.attached(instance(), instance_type())
