"""The volumes' keys changed by the real script on an imagined machine, killed after every effect and carried on."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fakes.host import FakeHost
from tests.fakes.key_slots import NEW, OLD, THIRD, held, opens, put, rekey, two_keys
from tests.fakes.pools import PAIR, design
from tests.fakes.world import NEVER, World, attached

from ec2zfs.errors import CommandFailed, Refused, WrongPoolKey
from ec2zfs.execute import opening, pool, rekeying
from ec2zfs.execute.pool import CloudPool
from ec2zfs.execute.rekeying import carry_out, key_slots
from ec2zfs.hosts.secret import Secret
from ec2zfs.model.volume import Volume
from ec2zfs.plan.rekeying import AddNewKey, KeySlots, RemoveOldKey
from ec2zfs.tools import volume_keys


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume_keys, "_COST", 2)
    for module in (opening, pool, rekeying):
        monkeypatch.setattr(module, "DEVICE_SECONDS", 1)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "world")


@pytest.fixture
def volumes(world: World) -> list[Volume]:
    return made(world)


def made(world: World) -> list[Volume]:
    """A locked pool under the old key; its effects are forgotten."""
    volumes = attached(world, PAIR)
    cloud = CloudPool(world.host, design(PAIR))
    cloud.create(OLD, volumes)
    cloud.lock()
    world.forget_effects()
    world.host.commands.clear()
    return volumes


def openers(world: World, volumes: list[Volume]) -> str:
    """Which of the two keys open every volume."""
    keys = (("old", OLD), ("new", NEW))
    return " ".join(name for name, key in keys if all(opens(world, each, key) for each in volumes))


def test_from_one_key_to_the_other(world: World, volumes: list[Volume]) -> None:
    rekey(world, volumes, two_keys())
    assert [held(world, each) for each in volumes] == ["-N", "-N"]
    cloud = CloudPool(world.host, design(PAIR))
    with pytest.raises(WrongPoolKey):
        cloud.unlock(OLD, volumes)
    cloud.unlock(NEW, volumes)
    assert world.imported == ["cloud"]


def test_on_a_pool_that_is_open(world: World, volumes: list[Volume]) -> None:
    CloudPool(world.host, design(PAIR)).unlock(OLD, volumes)
    rekey(world, volumes, two_keys())
    assert (world.imported, openers(world, volumes)) == (["cloud"], "new")


def test_each_phase_is_one_execution(world: World, volumes: list[Volume]) -> None:
    rekey(world, volumes, two_keys())
    phases = [command.argv[command.argv.index("cloud") + 1] for command in world.host.commands]
    assert phases == ["look", "add", "look", "remove", "look"]


def test_twice_changes_nothing_more(world: World, volumes: list[Volume]) -> None:
    rekey(world, volumes, two_keys())
    world.forget_effects()
    rekey(world, volumes, two_keys())
    assert world.effects == []


def test_keys_come_and_go_and_slot_0_is_never_filled_again(world: World, volumes: list[Volume]) -> None:
    for old, new, slots in ((OLD, NEW, "-N"), (NEW, THIRD, "--T"), (THIRD, OLD, "-O-")):
        rekey(world, volumes, two_keys(old, new))
        assert [held(world, each) for each in volumes] == [slots] * 2


def test_a_key_that_somebody_added_stays(world: World, volumes: list[Volume]) -> None:
    put(world, volumes[0], OLD, THIRD)
    rekey(world, volumes, two_keys())
    assert [held(world, each) for each in volumes] == ["-TN", "-N"]


def test_an_old_key_in_two_slots_goes_from_both(world: World, volumes: list[Volume]) -> None:
    put(world, volumes[0], OLD, OLD, None, OLD)
    rekey(world, volumes, two_keys())
    assert [held(world, each) for each in volumes] == ["--N-", "-N"]


EFFECTS = [
    "luksAddKey cloud-v1s1-g1 1",
    "luksAddKey cloud-v1s2-g1 1",
    "luksKillSlot cloud-v1s1-g1 0: its key",
    "luksKillSlot cloud-v1s1-g1 0",
    "luksKillSlot cloud-v1s2-g1 0: its key",
    "luksKillSlot cloud-v1s2-g1 0",
]
OPENERS = ["old", "old new", "new", "new", "new", "new"]


@pytest.mark.parametrize("count", range(1, len(EFFECTS) + 1))
def test_killed_after_any_effect_one_key_opens_all_and_the_next_call_finishes(
    count: int, world: World, volumes: list[Volume]
) -> None:
    world.kill_after(count)
    with pytest.raises(CommandFailed):
        rekey(world, volumes, two_keys())
    assert world.effects == EFFECTS[:count]
    assert openers(world, volumes) == OPENERS[count - 1]
    world.kill_after(NEVER)
    rekey(world, volumes, two_keys())
    assert openers(world, volumes) == "new"
    assert not any(opens(world, each, OLD) for each in volumes)
    assert [effect for effect in world.effects if "luksAddKey" in effect] == EFFECTS[:2]


@pytest.mark.parametrize("count", [1, 2])
def test_with_fresh_volumes_both_keys_open_all_until_the_last_is_there(
    count: int, world: World, volumes: list[Volume]
) -> None:
    put(world, volumes[1], NEW)
    world.kill_after(count)
    for _ in range(2):
        try:
            rekey(world, volumes, two_keys(), fresh=True)
        except CommandFailed:
            world.kill_after(NEVER)
    assert [held(world, each) for each in volumes] == ["ON", "NO"]
    assert openers(world, volumes) == "old new"
    put(world, volumes[0], NEW, OLD)
    rekey(world, volumes, two_keys(), fresh=True)
    assert [held(world, each) for each in volumes] == ["N-", "N-"]


def test_the_slots_that_each_key_opens(world: World, volumes: list[Volume]) -> None:
    put(world, volumes[0], THIRD, NEW, OLD)
    assert key_slots(world.host, "cloud", volumes, two_keys()) == (
        KeySlots(volumes[0], old=2, new=1),
        KeySlots(volumes[1], old=0, new=None),
    )
    assert world.effects == []


def test_nothing_is_removed_unless_the_new_key_opens_all(world: World, volumes: list[Volume]) -> None:
    carry_out(world.host, "cloud", AddNewKey((volumes[0],)), two_keys())
    world.forget_effects()
    with pytest.raises(
        WrongPoolKey, match=r"cloud-v1s2-g1 \(/dev/vd\w\) is not opened by the key that is to stay\. No"
    ):
        carry_out(world.host, "cloud", RemoveOldKey(tuple(volumes)), two_keys())
    assert world.effects == []


def test_neither_key_opens_a_volume(world: World, volumes: list[Volume]) -> None:
    put(world, volumes[1], THIRD)
    with pytest.raises(WrongPoolKey, match="Neither the old nor the new pool key opens cloud-v1s2-g1"):
        rekey(world, volumes, two_keys())
    assert world.effects == []


def test_a_header_that_is_gone_is_named_and_nothing_is_changed(world: World, volumes: list[Volume]) -> None:
    world.wipe(volumes[1].serial)
    with pytest.raises(Refused, match=r"cloud-v1s2-g1 \(/dev/vd\w\) has no LUKS2 header .* No key was removed"):
        rekey(world, volumes, two_keys())
    assert world.effects == []


@pytest.mark.parametrize("phase", [AddNewKey, RemoveOldKey])
def test_a_volume_that_does_not_show_is_named_and_nothing_is_changed(
    phase: type[AddNewKey | RemoveOldKey], world: World, volumes: list[Volume]
) -> None:
    for volume in volumes:
        put(world, volume, OLD, NEW if phase is RemoveOldKey else None)
    world.pull(volumes[1])
    with pytest.raises(Refused, match=r"cloud-v1s2-g1 \(vol\w+\) does not show on receiver .* no key was changed"):
        carry_out(world.host, "cloud", phase(tuple(volumes)), two_keys())
    assert world.effects == []


@pytest.mark.parametrize(
    ("status", "phase"),
    [(43, AddNewKey), (45, RemoveOldKey), (44, RemoveOldKey)],
    ids=["full", "not removed", "broken"],
)
def test_what_cryptsetup_said_is_told_with_the_way_on(
    status: int, phase: type[AddNewKey | RemoveOldKey], volumes: list[Volume]
) -> None:
    host = FakeHost("receiver")
    host.answers("flock", status=status, stderr="All key slots full.\ncloud-v1s1-g1 (/dev/vdb) got no further key.")
    with pytest.raises(CommandFailed, match=r"(?s)All key slots full.*cloud-v1s1-g1.*give the same command again"):
        carry_out(host, "cloud", phase(tuple(volumes)), two_keys())


def test_no_key_is_in_an_argument_or_in_what_is_printed(world: World, volumes: list[Volume]) -> None:
    rekey(world, volumes, two_keys())
    for command in world.host.commands:
        assert isinstance(command.stdin, Secret)
        keys = command.stdin.reveal()
        assert len(keys) % 64 == 0
        words = " ".join(command.argv)
        for secret in (keys[at : at + 8] for at in range(0, len(keys), 8)):
            assert secret not in words.encode()
            assert secret.hex() not in words
            assert secret.hex(" ") not in words
        assert OLD.reveal() not in words.encode()
        assert NEW.reveal() not in words.encode()
