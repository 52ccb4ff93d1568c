"""From the key slots that the two keys open to the phase that is next."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.fakes.pools import INSTANCE, PAIR, design, volume

from ec2zfs.errors import Refused, WrongPoolKey
from ec2zfs.model.contents import ReceiverView, SeenVolume
from ec2zfs.model.pool import DeviceState, Member, PoolStatus, Vdev
from ec2zfs.model.standing import Standing
from ec2zfs.model.volume import Retirement, Volume, VolumeState
from ec2zfs.plan.rekeying import (
    AddNewKey,
    AddOldKey,
    KeySlots,
    RemoveOldKey,
    both_keys,
    plan_rekeying,
    stale,
    volumes_to_rekey,
)

NOW = datetime(2026, 11, 25, tzinfo=UTC)


def seen(*slots: str) -> list[KeySlots]:
    """Volumes v1s1, v1s2, …, each with the slots that the old and the new key open: `0-`, `01`, `-1`."""
    return [
        KeySlots(volume(f"v1s{number}"), *(None if slot == "-" else int(slot) for slot in pair))
        for number, pair in enumerate(slots, 1)
    ]


def told(slots: list[KeySlots], *, fresh: bool = False) -> str:
    """The phase and the slots of its volumes, in short: `AddNewKey 1 3`."""
    phase = plan_rekeying(slots, fresh=fresh)
    return f"{type(phase).__name__} {' '.join(str(each.place.slot) for each in phase.volumes)}" if phase else ""


PLAIN = [
    (["0-", "0-", "0-"], "AddNewKey 1 2 3"),
    (["01", "0-", "0-"], "AddNewKey 2 3"),
    (["01", "01", "0-"], "AddNewKey 3"),
    (["01", "01", "01"], "RemoveOldKey 1 2 3"),
    (["-1", "01", "01"], "RemoveOldKey 1 2 3"),
    (["-1", "-1", "01"], "RemoveOldKey 1 2 3"),
    (["-1", "-1", "-1"], ""),
    (["12", "12", "10"], "RemoveOldKey 1 2 3"),
    (["-1", "0-", "01"], "AddNewKey 2"),
]


@pytest.mark.parametrize(("slots", "phase"), PLAIN)
def test_the_new_key_comes_to_all_before_the_old_one_goes(slots: list[str], phase: str) -> None:
    assert told(seen(*slots)) == phase


FRESH = [
    (["0-", "0-"], "AddNewKey 1 2"),
    (["01", "01"], ""),
    (["01", "01", "-0"], "AddOldKey 3"),
    (["01", "10", "-0"], "AddOldKey 3"),
    (["01", "01", "10"], ""),
    (["10", "10"], "RemoveOldKey 1 2"),
    (["-0", "10"], "RemoveOldKey 1 2"),
    (["-0", "-0"], ""),
    (["-1", "01", "-0"], ""),
]


@pytest.mark.parametrize(("slots", "phase"), FRESH)
def test_with_replacement_the_old_key_stays_until_all_are_fresh(slots: list[str], phase: str) -> None:
    assert told(seen(*slots), fresh=True) == phase


@pytest.mark.parametrize("fresh", [False, True])
def test_a_volume_that_neither_key_opens_is_named(fresh: bool) -> None:
    with pytest.raises(WrongPoolKey, match=r"opens cloud-v1s2-g1 \(vol-.*\); no key was removed"):
        plan_rekeying(seen("01", "--"), fresh=fresh)


def test_stale_are_those_whose_first_slot_the_new_key_does_not_open() -> None:
    slots = seen("0-", "01", "10", "-0", "-2")
    assert stale(slots) == {slots[number].volume.id for number in (0, 1, 4)}


@pytest.mark.parametrize(
    ("slots", "made", "phase"),
    [
        (["01", "01", "-0"], "3", "3"),
        (["01", "-0", "-0"], "23", "2 3"),
        (["01", "01", "10"], "3", ""),
        (["-1", "01", "-0"], "3", ""),
        (["01", "-0"], "", ""),
        (["-0", "-0"], "12", "1 2"),
    ],
)
def test_new_volumes_get_the_old_key_where_it_opens_all_others(slots: list[str], made: str, phase: str) -> None:
    given = seen(*slots)
    step = both_keys(given, {given[int(number) - 1].volume.id for number in made})
    assert step == (AddOldKey(tuple(given[int(number) - 1].volume for number in phase.split())) if phase else None)


@pytest.mark.parametrize(
    ("phase", "words"),
    [
        (AddNewKey((volume("v1s1"),)), "add the new key to 1 volume, and test it"),
        (AddOldKey((volume("v1s1"),)), "add the old key to 1 volume, until all are replaced"),
        (RemoveOldKey((volume("v1s1"), volume("v1s2"))), "remove the old key from 2 volumes"),
    ],
)
def test_a_phase_tells_itself(phase: AddNewKey | AddOldKey | RemoveOldKey, words: str) -> None:
    assert str(phase) == words


def standing(*volumes: Volume, looked_at: tuple[SeenVolume, ...] = (), open_too: tuple[str, ...] = ()) -> Standing:
    """The pool of two members, v1s1 and v1s2 of generation 1, and these volumes at EC2."""
    members = tuple(
        Member(f"/dev/mapper/{each.mapping}", DeviceState.ONLINE, place=each.place, generation=1)
        for each in (volume("v1s1"), volume("v1s2"))
    )
    pool = PoolStatus(
        "cloud", 1, DeviceState.ONLINE, (Vdev("mirror-0", "mirror", DeviceState.ONLINE, members),), 9, 1, 8
    )
    view = ReceiverView(looked_at, open_too, ("cloud",), pool)
    return Standing(design(PAIR), volumes, view, INSTANCE, 1, NOW)


ONE, TWO = volume("v1s1", attached="attached"), volume("v1s2", attached="attached")
NEXT = volume("v1s2", 2, attached="attached")


def header(of: Volume, keyslots: int = 1) -> SeenVolume:
    return SeenVolume(of.serial, "/dev/vdx", ("crypto_LUKS",), keyslots, of.mapping)


CHOSEN = [
    ("both members", standing(TWO, ONE), "s1g1 s2g1"),
    (
        "a blank newcomer",
        standing(ONE, TWO, NEXT, looked_at=(SeenVolume(NEXT.serial, "", untouched=True),)),
        "s1g1 s2g1",
    ),
    ("a newcomer that is formatted", standing(ONE, TWO, NEXT, looked_at=(header(NEXT),)), "s1g1 s2g1 s2g2"),
    ("a newcomer that is open", standing(ONE, TWO, NEXT, open_too=(NEXT.mapping,)), "s1g1 s2g1 s2g2"),
    ("a newcomer whose header was begun", standing(ONE, TWO, NEXT, looked_at=(header(NEXT, 0),)), "s1g1 s2g1"),
    ("one that is only kept", standing(ONE, NEXT, volume("v1s2", retirement=Retirement())), "s1g1"),
    ("one that EC2 gave up", standing(ONE, volume("v1s2", state=VolumeState.ERROR)), "s1g1"),
]


@pytest.mark.parametrize(("given", "chosen"), [case[1:] for case in CHOSEN], ids=[case[0] for case in CHOSEN])
def test_the_volumes_that_are_rekeyed(given: Standing, chosen: str) -> None:
    found = volumes_to_rekey(given)
    assert " ".join(f"s{each.place.slot}g{each.generation}" for each in found) == chosen


@pytest.mark.parametrize("away", [volume("v1s2"), volume("v1s2", attached="detaching")])
def test_a_volume_that_is_not_at_hand_is_refused(away: Volume) -> None:
    with pytest.raises(Refused, match=r"cloud-v1s2-g1 \(vol-.*\) does not hang on the receiver.*pool repair"):
        volumes_to_rekey(standing(ONE, away))


def test_while_volumes_are_replaced_one_that_waits_for_an_attachment_may_be_away() -> None:
    waiting = volume("v1s2", 2)
    given = standing(ONE, TWO, waiting)
    assert volumes_to_rekey(given, replacing=True) == (ONE, TWO)
    with pytest.raises(Refused, match=r"cloud-v1s2-g2 \(vol-.*\) does not hang on the receiver"):
        volumes_to_rekey(given)
    with pytest.raises(Refused, match=r"cloud-v1s2-g1 \(vol-.*\) does not hang on the receiver"):
        volumes_to_rekey(standing(ONE, replace(TWO, attachment=None), waiting), replacing=True)
