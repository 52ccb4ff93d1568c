"""From what EC2 says to what is created, attached, detached and deleted."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.fakes.pools import INSTANCE, PAIR, SIX, ZONE, instance, instance_type, volume, volumes, wish

from ec2zfs.errors import Refused
from ec2zfs.model.layout import Layout, Redundancy
from ec2zfs.model.volume import Attachment, AttachmentState, Retirement, Schedule, Volume, VolumeState
from ec2zfs.plan.attachment import DEVICE_NAMES, attachments, usable_attachments
from ec2zfs.plan.volumes import (
    ModifyVolume,
    RetireVolume,
    current,
    plan_attachment,
    plan_creation,
    plan_deletion,
    plan_detachment,
    require_usable,
)

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
KEPT = Retirement(NOON)
ELSEWHERE = Attachment("i-0fedcba9876543210", "/dev/sdf", AttachmentState.ATTACHED)


@pytest.mark.parametrize(
    ("standing", "created"),
    [
        ([], "v1s1 v1s2 v1s3 v2s1 v2s2 v2s3"),
        (["v1s1", "v2s3"], "v1s2 v1s3 v2s1 v2s2"),
        (["v1s1", "v1s2", "v1s3", "v2s1", "v2s2", "v2s3"], ""),
    ],
)
def test_only_what_is_missing_is_created(standing: list[str], created: str) -> None:
    plan = plan_creation(wish(), [volume(place) for place in standing])
    assert " ".join(str(action.place) for action in plan) == created


@pytest.mark.parametrize("state", [VolumeState.CREATING, VolumeState.AVAILABLE, VolumeState.IN_USE])
def test_a_volume_stands_from_its_first_moment(state: VolumeState) -> None:
    assert plan_creation(wish(PAIR), volumes(PAIR, state=state)) == ()


def test_a_later_generation_fills_its_place_too() -> None:
    assert plan_creation(wish(PAIR), [volume("v1s1", 7), volume("v1s2")]) == ()


@pytest.mark.parametrize(
    ("standing", "created"),
    [
        ([volume("v1s1", retirement=KEPT)], "v1s1-g2 v1s2-g1"),
        ([volume("v1s1", 3, retirement=Retirement()), volume("v1s1", 4)], "v1s2-g1"),
        ([volume("v1s1", retirement=KEPT), volume("v1s1", 2, retirement=KEPT)], "v1s1-g3 v1s2-g1"),
        ([volume("v1s1", retirement=KEPT, state=VolumeState.ERROR), volume("v1s1", 2)], "v1s2-g1"),
        ([volume("v9s9", retirement=KEPT, size_gib=7)], "v1s1-g1 v1s2-g1"),
    ],
)
def test_what_is_only_kept_stands_in_no_place(standing: list[Volume], created: str) -> None:
    plan = plan_creation(wish(PAIR), standing)
    assert " ".join(f"{action.place}-g{action.generation}" for action in plan) == created


def test_an_action_says_what_it_does() -> None:
    create = plan_creation(wish(), [])[3]
    attach = plan_attachment([volume("v2s1")], instance(), instance_type())[0]
    detach = plan_detachment([volume("v2s1", attached="attached")])[0]
    delete = plan_deletion([volume("v2s1")], "asked for")[0]
    modify = ModifyVolume(volume("v2s1"), 2, "sc1")
    retire, keep = RetireVolume(volume("v2s1"), NOON), RetireVolume(volume("v2s1"), None)
    assert [str(action) for action in (create, attach, detach, delete, modify, retire, keep)] == [
        "create volume cloud-v2s1-g1: 1 GiB gp3 in eu-central-1a",
        "attach volume cloud-v2s1-g1 to i-0123456789abcdef0 as /dev/sdf",
        "detach volume cloud-v2s1-g1 (vol-02010000000000001) from i-0123456789abcdef0",
        "delete volume cloud-v2s1-g1 (vol-02010000000000001): asked for",
        "modify volume cloud-v2s1-g1 (vol-02010000000000001): 1 GiB gp3 -> 2 GiB sc1",
        "keep volume cloud-v2s1-g1 (vol-02010000000000001) aside, out of a healthy pool since 2026-11-25 12:00 UTC",
        "keep volume cloud-v2s1-g1 (vol-02010000000000001) aside",
    ]


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        ([volume("v3s1")], "places that the layout 2 x raidz1 of 3 x 1 GiB does not have: v3s1"),
        ([volume("v1s4")], "v1s4"),
        ([volume("v1s1"), volume("v1s1", 2)], "Two volumes stand in one place: v1s1 .*ec2zfs pool repair"),
        ([volume("v1s1", size_gib=2)], "has 2 GiB of type gp3, where .* says 1 GiB of gp3.*ec2zfs pool grow"),
        ([volume("v1s1", type="st1")], "has 1 GiB of type st1, where"),
        ([volume("v1s1", zone="eu-central-1b")], "are in eu-central-1b, not in eu-central-1a"),
        ([volume("v1s1", state=VolumeState.ERROR)], "in state error.*ec2zfs pool repair"),
    ],
)
def test_volumes_that_contradict_the_configuration_are_refused(standing: list[Volume], words: str) -> None:
    with pytest.raises(Refused, match=words):
        plan_creation(wish(), standing)


@pytest.mark.parametrize(
    ("attached", "asked"),
    [
        (None, True),
        ("attaching", True),  # asked for again: a call that was cut off may have had no effect
        ("attached", False),
        ("detaching", True),  # the executor waits until it is free
        ("detached", True),
    ],
)
def test_what_hangs_there_is_not_attached_again(attached: str | None, asked: bool) -> None:
    plan = plan_attachment([volume("v1s1", attached=attached)], instance(), instance_type())
    assert bool(plan) is asked


def test_each_volume_gets_a_device_name_of_its_own() -> None:
    plan = plan_attachment([volume("v1s1", attached="attached"), *volumes(SIX)[1:]], instance(), instance_type())
    names = [action.device for action in plan]
    assert names == ["/dev/sdg", "/dev/sdh", "/dev/sdi", "/dev/sdj", "/dev/sdk"]
    assert {action.instance_id for action in plan} == {INSTANCE}


def test_sixty_three_names_are_enough_for_all() -> None:
    assert len(set(DEVICE_NAMES)) == 63
    assert DEVICE_NAMES[:2] + DEVICE_NAMES[10:13] + DEVICE_NAMES[-1:] == (
        "/dev/sdf",
        "/dev/sdg",
        "/dev/sdp",
        "/dev/xvdba",
        "/dev/xvdbb",
        "/dev/xvdcz",
    )


@pytest.mark.parametrize(
    ("attachments", "shared", "usable"),
    [
        (28, True, 25),  # root, interface, one in reserve
        (32, False, 30),
        (48, False, 46),
        (128, False, 62),  # as many as there are names, one in reserve
        (1, True, 0),
    ],
)
def test_usable_attachments(attachments: int, shared: bool, usable: int) -> None:
    assert usable_attachments(instance_type(attachments, shared=shared)) == usable


def test_a_layout_beyond_the_attachment_limit_is_refused() -> None:
    forty = volumes(Layout(Redundancy.RAIDZ1, 5, 8, 1))
    with pytest.raises(Refused, match=r"pool of 40 volumes does not fit on a m7i.large: it takes 30"):
        plan_attachment(forty, instance(), instance_type(32))
    assert len(plan_attachment(forty, instance(), instance_type(48))) == 40


LOST = volume("v1s1", state=VolumeState.ERROR)
REPLACED = [*volumes(PAIR, attached="attached"), volume("v1s1", 2)]


def test_two_volumes_of_one_place_take_the_reserve() -> None:
    kind = instance_type(5, shared=True)
    assert (usable_attachments(kind), attachments(kind)) == (2, 3)
    [action] = plan_attachment(REPLACED, instance(), kind)
    assert (str(action.place), action.generation) == ("v1s1", 2)
    with pytest.raises(Refused, match=r"4 volumes stand in the pool's 2 places, .* a m7i.large takes 3"):
        plan_attachment([*REPLACED, volume("v1s2", 2)], instance(), kind)
    assert len(plan_attachment([*REPLACED, volume("v1s2", 2, retirement=KEPT)], instance(), kind)) == 1


def test_what_is_only_kept_is_not_attached_again() -> None:
    kept = [volume("v1s1", retirement=KEPT), volume("v1s2", retirement=Retirement())]
    there = [volume("v1s3", retirement=KEPT, attached="attached"), volume("v2s1", retirement=KEPT, zone="elsewhere")]
    [action] = plan_attachment([*kept, *there, volume("v1s1", 2)], instance(), instance_type())
    assert (action.generation, action.device) == (2, "/dev/sdg")
    assert current([*kept, volume("v1s1", 2)]) == [volume("v1s1", 2)]


def test_what_ec2_gave_up_is_left_out_when_less_redundancy_is_accepted() -> None:
    plan = plan_attachment([LOST, volume("v1s2")], instance(), instance_type(), accept_degraded=True)
    assert [str(action.place) for action in plan] == ["v1s2"]


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        ([volume("v1s1", zone="eu-central-1b")], "are in eu-central-1b, not in eu-central-1a"),
        ([volume(f"v1s{slot}") for slot in range(1, 4)], "A pool of 3 volumes does not fit on a m7i.large: it takes 2"),
        ([*REPLACED, volume("v1s2", 2)], "4 volumes stand in the pool's 2 places"),
    ],
)
def test_volumes_that_no_receiver_of_the_type_could_have_are_refused(standing: list[Volume], words: str) -> None:
    with pytest.raises(Refused, match=words):
        require_usable(standing, ZONE, instance_type(5, shared=True))


@pytest.mark.parametrize(
    "standing",
    [
        [LOST, volume("v1s2")],
        [LOST, *REPLACED[1:], volume("v1s2", 2)],
        REPLACED,
        [*volumes(PAIR), volume("v2s1", retirement=KEPT, zone="eu-central-1b"), volume("v2s2", retirement=KEPT)],
        [volume("v1s1", schedule=Schedule(2, NOON))],
    ],
)
def test_others_are_not(standing: list[Volume]) -> None:
    require_usable(standing, ZONE, instance_type(5, shared=True))


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        (volume("v1s1", zone="eu-central-1b"), "is in eu-central-1b, but i-0123456789abcdef0 runs in eu-central-1a"),
        (volume("v1s1", state=VolumeState.IN_USE, attachment=ELSEWHERE), "attached to i-0fedcba9876543210, not to"),
        (volume("v1s1", attached="busy"), "is to be detached from .* and is in use"),
        (volume("v1s1", state=VolumeState.ERROR), "in state error"),
    ],
)
def test_what_cannot_be_attached_is_refused(standing: Volume, words: str) -> None:
    with pytest.raises(Refused, match=words):
        plan_attachment([standing], instance(), instance_type())


def test_only_what_is_attached_is_detached() -> None:
    plan = plan_detachment([volume("v1s1"), volume("v1s2", attached="attached"), volume("v1s3", attached="busy")])
    assert [str(action.volume.place) for action in plan] == ["v1s2", "v1s3"]


def test_nothing_attached_is_deleted() -> None:
    with pytest.raises(Refused, match="1 of 2 volumes are attached"):
        plan_deletion([volume("v1s1"), volume("v1s2", attached="attached")], "asked for")
