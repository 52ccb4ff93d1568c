"""`pool create` as a whole: what is left up, open and paid for, however it ends."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from tests.fakes.pools import INSTANCE, PAIR, ZONE, design, instance, instance_type, wish
from tests.fakes.world import World

from ec2zfs.errors import Refused, WrongPoolKey
from ec2zfs.execute.pool import CloudPool
from ec2zfs.execute.progress import Silent
from ec2zfs.execute.receiver import Receiver
from ec2zfs.execute.volumes import VolumeFleet
from ec2zfs.hosts.host import Command, Host, Result
from ec2zfs.hosts.secret import Secret
from ec2zfs.model.instance import Instance, InstanceState, Market
from ec2zfs.plan.receiver import ReceiverAction, RunInstance, UseRunning
from ec2zfs.runs.creation import CreationParts, create_pool, preview_creation
from ec2zfs.runs.locked import require_locked
from ec2zfs.runs.stages import Journal
from ec2zfs.tools import volume_keys

KEY = Secret(b"the key that opens the pool, and no other")
WRONG = Secret(b"a key that was right for another pool, once")


class Machine:
    """A receiver that is up or not, and says what was asked of it."""

    def __init__(self, world: World, *, up: bool) -> None:
        self._world = world
        self.up = up
        self.asked: list[str] = []

    def starting(self, *, on_demand: bool = False) -> tuple[ReceiverAction, ...]:
        return (UseRunning(INSTANCE),) if self.up else (RunInstance("m7i.large", ZONE, Market.ON_DEMAND),)

    def start(self, *, on_demand: bool = False) -> Host:
        self.asked.append("start")
        self.up = True
        return self._world.host

    def stop(self) -> None:
        self.asked.append("stop")
        self.up = False

    def dead_man(self, host: Host) -> AbstractContextManager[None]:
        return nullcontext()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(volume_keys, "_COST", 2)
    return World(tmp_path / "world")


def parts(world: World, machine: Machine, attachments: int = 32) -> CreationParts:
    fleet = VolumeFleet(world.volumes)
    return CreationParts(
        design=design(PAIR),
        wish=wish(PAIR),
        instance_type=lambda: instance_type(attachments),
        fleet=fleet,
        receiver=cast("Receiver", machine),
        attach=lambda: fleet.attached(instance(), instance_type()),
        cloud_pool=lambda host: CloudPool(host, design(PAIR)),
    )


def journal() -> Journal:
    return Journal(Silent())


@pytest.mark.parametrize(("up", "asked"), [(False, ["start", "stop"]), (True, ["start"])])
def test_the_pool_is_made_and_locked_and_the_receiver_left_as_it_was(world: World, up: bool, asked: list[str]) -> None:
    machine = Machine(world, up=up)
    stages = journal()
    status = create_pool(parts(world, machine), KEY, stages)
    assert (status.healthy, world.pools) == (True, ["cloud"])
    assert (world.mappings, world.imported, machine.asked) == ([], [], asked)
    assert [stage.name for stage in stages.stages] == [
        "create the volumes",
        "start the receiver",
        "attach the volumes",
        "make the pool",
        "lock the pool",
        "leave the receiver up" if up else "stop the receiver",
    ]


def test_again_it_finds_everything_made(world: World) -> None:
    machine = Machine(world, up=False)
    first = create_pool(parts(world, machine), KEY, journal())
    effects = len(world.effects)
    assert create_pool(parts(world, machine), KEY, journal()).guid == first.guid
    assert world.volumes.made == 2
    assert not [effect for effect in world.effects[effects:] if effect.startswith(("luksFormat", "create"))]


def test_a_pool_that_does_not_fit_on_the_receiver_is_refused_before_a_volume_is_paid_for(world: World) -> None:
    machine = Machine(world, up=False)
    with pytest.raises(Refused, match="does not fit"):
        create_pool(parts(world, machine, attachments=3), KEY, journal())
    assert (world.volumes.made, machine.asked) == (0, [])


def test_after_a_wrong_key_nothing_is_open_or_up(world: World) -> None:
    machine = Machine(world, up=False)
    create_pool(parts(world, machine), KEY, journal())
    with pytest.raises(WrongPoolKey):
        create_pool(parts(world, machine), WRONG, journal())
    assert (world.mappings, machine.up) == ([], False)


@pytest.mark.parametrize("at", range(1, 5))
def test_after_ctrl_c_anywhere_on_the_receiver_nothing_is_open_or_up(world: World, at: int) -> None:
    class Interrupted:
        name = "receiver"
        left = at

        def run(self, command: Command) -> Result:
            result = world.host.run(command)
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
            return result

    machine = Machine(world, up=False)
    whole = parts(world, machine)
    host = cast("Host", Interrupted())
    cloud: Callable[[Host], CloudPool] = lambda _: CloudPool(host, design(PAIR))  # noqa: E731
    with pytest.raises(KeyboardInterrupt):
        create_pool(CreationParts(**{**vars(whole), "cloud_pool": cloud}), KEY, journal())
    assert (world.mappings, world.imported, machine.up) == ([], [], False)
    assert create_pool(whole, KEY, journal()).healthy
    assert world.volumes.made == 2


def test_a_preview_changes_nothing(world: World) -> None:
    preview = preview_creation(parts(world, Machine(world, up=False)))
    assert (len(preview.volumes), preview.standing, len(preview.pool)) == (2, 0, 5)
    assert (world.volumes.made, world.effects) == (0, [])


class Seen:
    """What `require_locked` asks of a receiver."""

    def __init__(self, world: World, *instances: Instance) -> None:
        self._world = world
        self._instances = instances

    def status(self) -> object:
        return SimpleNamespace(instances=self._instances)

    def reach(self) -> Host:
        return self._world.host


@pytest.mark.parametrize(("state", "refused"), [("running", True), ("stopped", False), ("terminated", False)])
def test_volumes_are_taken_from_a_machine_that_is_down_or_locked(world: World, state: str, refused: bool) -> None:
    whole = parts(world, Machine(world, up=True))
    cloud = CloudPool(world.host, design(PAIR))
    create_pool(whole, KEY, journal())
    require_locked(cast("Receiver", Seen(world, instance())), whole.cloud_pool, ())
    cloud.unlock(KEY, world.volumes.volumes())
    with pytest.raises(Refused, match="is imported; nothing was detached") if refused else nullcontext():
        require_locked(cast("Receiver", Seen(world, instance(state=InstanceState(state)))), whole.cloud_pool, ())


def test_volumes_are_not_taken_where_nobody_can_see_whether_the_pool_is_open(world: World) -> None:
    whole = parts(world, Machine(world, up=True))
    create_pool(whole, KEY, journal())
    volumes = world.volumes.volumes()
    with pytest.raises(Refused, match=rf"is attached to {INSTANCE}, which is no receiver of this pool"):
        require_locked(cast("Receiver", Seen(world)), whole.cloud_pool, volumes)
    both = Seen(world, instance(), instance(id="i-2"))
    with pytest.raises(Refused, match="2 receivers are up"):
        require_locked(cast("Receiver", both), whole.cloud_pool, volumes)
