"""The property: stop `pool create` anywhere, look again, plan again, run again: the one pool, and no volume paid twice.

Every call to EC2 is cut off before and after its effect, and the receiver's script is killed after each of its effects,
with the receiver surviving that or not. What holds at every end is `Ending`.
"""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path

import pytest
from tests.fakes.fuse import Fuse, Killed, Moment
from tests.fakes.pools import PAIR, SIX, design, instance, instance_type, wish
from tests.fakes.world import NEVER, World

from ec2zfs.errors import CommandFailed
from ec2zfs.execute import opening, pool
from ec2zfs.execute.pool import CloudPool
from ec2zfs.execute.volumes import VolumeFleet
from ec2zfs.hosts.secret import Secret
from ec2zfs.model.layout import Layout, Redundancy
from ec2zfs.plan.volumes import plan_creation
from ec2zfs.tools import volume_keys

KEY = Secret(b"the key that opens the pool, and no other")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume_keys, "_COST", 2)
    for module in (opening, pool):
        monkeypatch.setattr(module, "DEVICE_SECONDS", 1)


def create(world: World, layout: Layout, fuse: Fuse | None = None, workers: int = 1) -> None:
    """What `ec2zfs pool create` does: volumes, attachments, the pool."""
    fleet = VolumeFleet((fuse or Fuse()).wrap(world.volumes), workers=workers)
    fleet.carry_out(plan_creation(wish(layout), fleet.volumes()))
    volumes = fleet.attached(instance(), instance_type())
    CloudPool(world.host, design(layout)).create(KEY, volumes)


def require_the_one_pool(world: World, layout: Layout) -> None:
    """The end state, whatever happened before."""
    assert [volume.place for volume in world.volumes.paid] == list(layout.places())
    assert world.volumes.made == layout.volumes, "a volume was paid for twice"
    assert (world.pools, world.imported) == (["cloud"], ["cloud"])
    assert world.mappings == sorted(f"cloud-{place}-g1" for place in layout.places())
    formats = [effect for effect in world.effects if effect in {f"luksFormat {name}" for name in world.mappings}]
    assert len(formats) == layout.volumes, "a formatted volume was formatted again"


def calls_of_a_whole_run(directory: Path, layout: Layout, *, unseen_looks: int = 0) -> tuple[int, int]:
    """How many calls to EC2, and how many effects on the receiver, an undisturbed run makes."""
    world, fuse = World(directory, unseen_looks=unseen_looks), Fuse()
    create(world, layout, fuse)
    require_the_one_pool(world, layout)
    return len(fuse.calls), len(world.effects)


@pytest.mark.parametrize("unseen_looks", [0, 2], ids=["listed at once", "listed late"])
@pytest.mark.parametrize("moment", Moment)
def test_the_controller_dies_at_any_call_to_ec2(tmp_path: Path, moment: Moment, unseen_looks: int) -> None:
    calls, _ = calls_of_a_whole_run(tmp_path / "whole", SIX, unseen_looks=unseen_looks)
    assert calls > 2 * SIX.volumes
    for call in range(1, calls + 1):
        world = World(tmp_path / str(call), unseen_looks=unseen_looks)
        with pytest.raises(Killed):
            create_volumes(world, Fuse(call, moment))
        create_volumes(world, Fuse())
        assert [volume.place for volume in world.volumes.paid] == list(SIX.places())
        assert world.volumes.made == SIX.volumes
        assert all(volume.attachment for volume in world.volumes.paid)


def create_volumes(world: World, fuse: Fuse, workers: int = 1) -> None:
    fleet = VolumeFleet(fuse.wrap(world.volumes), workers=workers)
    fleet.carry_out(plan_creation(wish(SIX), fleet.volumes()))
    fleet.attached(instance(), instance_type())


@pytest.mark.parametrize("call", [3, 9, 14])
def test_the_controller_dies_with_many_calls_under_way(tmp_path: Path, call: int) -> None:
    world = World(tmp_path / "world")
    with pytest.raises(Killed):
        create_volumes(world, Fuse(call, Moment.AFTER), workers=6)
    create_volumes(world, Fuse(), workers=6)
    assert world.volumes.made == SIX.volumes


@pytest.mark.parametrize("receiver", ["lives", "dies"])
def test_the_script_is_killed_after_any_effect(tmp_path: Path, receiver: str) -> None:
    _, effects = calls_of_a_whole_run(tmp_path / "whole", PAIR)
    assert effects == 10  # of each volume: three steps of luksFormat, and open; zgenhostid; create
    for effect in range(1, effects + 1):
        world = World(tmp_path / str(effect))
        interrupt(world, effect, reboot=receiver == "dies")
        create(world, PAIR)
        require_the_one_pool(world, PAIR)


def interrupt(world: World, effect: int, *, reboot: bool) -> None:
    """Begin to create the pool, and stop after this effect on the receiver."""
    world.kill_after(effect)
    with pytest.raises(CommandFailed, match="ended by signal 9"):
        create(world, PAIR)
    world.kill_after(NEVER)
    if reboot:
        world.reboot()


@pytest.mark.parametrize("seed", range(4))
def test_any_number_of_interruptions(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    world = World(tmp_path / "world", unseen_looks=chance.randrange(2))
    for _ in range(chance.randint(2, 4)):
        fuse = Fuse(chance.randint(1, 20), chance.choice(list(Moment)))
        world.kill_after(chance.randint(1, 6))
        with suppress(Killed, CommandFailed):
            create(world, PAIR, fuse)
        world.kill_after(NEVER)
        if chance.random() < 0.5:
            world.reboot()
    create(world, PAIR)
    require_the_one_pool(world, PAIR)


@pytest.mark.parametrize("receiver", ["lives", "dies"])
def test_unlock_and_lock_are_killed_after_any_effect(tmp_path: Path, receiver: str) -> None:
    world = World(tmp_path / "world")
    create(world, PAIR)
    cloud, volumes = CloudPool(world.host, design(PAIR)), world.volumes.volumes()
    cloud.lock()
    for effect in range(1, 8):  # zgenhostid, two mappings and the import; the export and two mappings again
        world.kill_after(effect)
        with pytest.raises(CommandFailed, match="ended by signal 9"):  # noqa: PT012 - one of the two, as it comes
            cloud.unlock(KEY, volumes)
            cloud.lock()
        world.kill_after(NEVER)
        if receiver == "dies":
            world.reboot()
        cloud.unlock(KEY, volumes)
        assert cloud.status().healthy
        cloud.lock()
        assert (world.mappings, world.imported) == ([], [])


def test_layouts_with_every_redundancy(tmp_path: Path) -> None:
    for number, layout in enumerate((PAIR, Layout(Redundancy.RAIDZ2, 1, 3, 2), Layout(Redundancy.MIRROR, 2, 2, 1))):
        world = World(tmp_path / str(number))
        create(world, layout)
        require_the_one_pool(world, layout)
