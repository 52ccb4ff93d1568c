"""rekey.sh by itself, on an imagined machine: what it prints, how it ends, and what it does when its keys break off."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fakes.key_slots import NEW, OLD, THIRD, held, opens, put
from tests.fakes.pools import PAIR
from tests.fakes.world import World, attached

from ec2zfs.errors import CommandFailed
from ec2zfs.hosts.host import Result
from ec2zfs.hosts.secret import Secret
from ec2zfs.model.volume import Volume
from ec2zfs.tools import volume_keys
from ec2zfs.tools.scripts import Script
from ec2zfs.tools.volume_keys import VolumeKeys

LETTERS = {"O": OLD, "N": NEW, "T": THIRD}
CODES = frozenset({41, 42, 43, 44, 45})
KEYS = {"look": "ON", "add": "NONN", "remove": "ON"}
"""The keys that a phase takes for a volume; `remove` takes `N` for every volume before."""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(volume_keys, "_COST", 2)
    return World(tmp_path / "world")


@pytest.fixture
def volumes(world: World) -> list[Volume]:
    return attached(world, PAIR)


def filled(world: World, volumes: list[Volume], *slots: str) -> None:
    """Headers with these keys in their slots: `ON`, `-N`; `` for none."""
    for volume, letters in zip(volumes, slots, strict=True):
        if letters:
            put(world, volume, *(LETTERS.get(letter) for letter in letters))


def given(volumes: list[Volume], phase: str) -> bytes:
    """All that the phase takes from its standard input."""
    first = [(volume, "N") for volume in volumes] if phase == "remove" else []
    order = [*first, *((volume, KEYS[phase]) for volume in volumes)]
    return b"".join(key_of(volume, letter) for volume, letters in order for letter in letters)


def key_of(volume: Volume, letter: str) -> bytes:
    return VolumeKeys(LETTERS[letter], "cloud").key(volume.mapping).reveal()


def run(world: World, volumes: list[Volume], phase: str, stdin: bytes | None = None) -> Result:
    words = [word for volume in volumes for word in (volume.serial, volume.mapping)]
    keys = given(volumes, phase) if stdin is None else stdin
    return Script("rekey", "cloud", (phase, "0", *words), stdin=Secret(keys), accept=CODES).run(world.host)


@pytest.mark.parametrize("slots", ["O", "N", "T", "ON", "NO", "T-N", "-NO", "OO"])
def test_look_prints_the_slots_that_the_two_keys_open(slots: str, world: World, volumes: list[Volume]) -> None:
    filled(world, volumes, slots, "ON")
    found = [str(slots.index(letter)) if letter in slots else "-" for letter in "ON"]
    assert run(world, volumes, "look").lines() == [f"cloud-v1s1-g1 {' '.join(found)}", "cloud-v1s2-g1 0 1"]
    assert world.effects == []


ADDED = [("O", "ON"), ("ON", "ON"), ("NO", "NO"), ("O-T", "ONT"), ("OTT", "OTTN"), ("-O", "-ON"), ("--O", "-NO")]


@pytest.mark.parametrize(("before", "after"), ADDED)
def test_add_fills_the_first_slot_that_is_free_but_0(
    before: str, after: str, world: World, volumes: list[Volume]
) -> None:
    filled(world, volumes, before, "O")
    assert run(world, volumes, "add").status == 0
    assert [held(world, volume) for volume in volumes] == [after, "ON"]


REMOVED = [("ON", "-N"), ("NO", "N-"), ("-N", "-N"), ("OTN", "-TN"), ("OON", "-ON")]


@pytest.mark.parametrize(("before", "after"), REMOVED)
def test_remove_empties_the_slot_of_the_old_key_and_no_other(
    before: str, after: str, world: World, volumes: list[Volume]
) -> None:
    filled(world, volumes, before, "ON")
    assert run(world, volumes, "remove").status == 0
    assert [held(world, volume) for volume in volumes] == [after, "-N"]


ENDS = [
    ("look", ("O", ""), 44, "cloud-v1s2-g1 (/dev/vdb) has no LUKS2 header that can be read."),
    ("add", ("O", ""), 44, "cloud-v1s2-g1 (/dev/vdb) has no LUKS2 header that can be read."),
    ("add", ("O", "T"), 43, "cloud-v1s2-g1 (/dev/vdb) got no further key."),
    ("remove", ("ON", "O"), 42, "cloud-v1s2-g1 (/dev/vdb) is not opened by the key that is to stay."),
    ("remove", ("ON", "T"), 42, "cloud-v1s2-g1 (/dev/vdb) is not opened by the key that is to stay."),
    ("remove", ("ON", ""), 44, "cloud-v1s2-g1 (/dev/vdb) has no LUKS2 header that can be read."),
]


@pytest.mark.parametrize(("phase", "slots", "status", "said"), ENDS)
def test_how_it_ends_when_it_cannot_go_on(
    phase: str, slots: tuple[str, str], status: int, said: str, world: World, volumes: list[Volume]
) -> None:
    filled(world, volumes, *slots)
    ended = run(world, volumes, phase)
    assert (ended.status, ended.stderr.decode().splitlines()[-1]) == (status, said)
    assert not [effect for effect in world.effects if "luksKillSlot" in effect]


@pytest.mark.parametrize("phase", ["look", "add", "remove"])
def test_a_volume_that_is_not_here_is_told_before_anything_is_done(
    phase: str, world: World, volumes: list[Volume]
) -> None:
    filled(world, volumes, "ON", "ON")
    world.pull(volumes[1])
    ended = run(world, volumes, phase)
    assert (ended.status, ended.stderr.decode()) == (41, f"cloud-v1s2-g1 ({volumes[1].serial})\n")
    assert world.effects == []


@pytest.mark.parametrize("phase", ["add", "remove"])
@pytest.mark.parametrize("keys", [0, 0.5, 1, 1.5, 2, 2.5, 3, 4, 5.5])
def test_when_the_keys_break_off_it_ends_and_one_key_opens_all(
    phase: str, keys: float, world: World, volumes: list[Volume]
) -> None:
    filled(world, volumes, "O" if phase == "add" else "ON", "O" if phase == "add" else "ON")
    assert run(world, volumes, phase, given(volumes, phase)[: int(64 * keys)]).status in CODES
    assert any(all(opens(world, volume, key) for volume in volumes) for key in (OLD, NEW))


def test_another_phase_is_not_known(world: World, volumes: list[Volume]) -> None:
    filled(world, volumes, "O", "O")
    with pytest.raises(CommandFailed, match=r"rekey\.sh knows no phase forget"):
        run(world, volumes, "forget", b"")
