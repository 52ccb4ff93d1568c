"""From what EC2 says to what is created, attached, detached and deleted."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.fakes.pools import INSTANCE, PAIR, SIX, ZONE, instance, instance_type, volume, volumes, wish

from ec2zfs.errors import Refused
from ec2zfs.model.layout import Layout, Redundancy
from ec2zfs.model.volume import Attachment, AttachmentState, Retirement, Schedule, Volume, VolumeState
from ec2zfs.plan.attachment import DEVICE_NAMES, RESERVED, attachments, require_attachable
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
ATTACHING = Attachment(INSTANCE, "/dev/sdg", AttachmentState.ATTACHING)


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
    ("told", "shared", "most"),
    [
        (28, True, 26),  # root, interface
        (32, False, 31),
        (48, False, 47),
        (128, False, 63),  # as many as there are names
        (1, True, 0),
    ],
)
def test_attachments(told: int, shared: bool, most: int) -> None:
    assert attachments(instance_type(told, shared=shared)) == most


FORTY = volumes(Layout(Redundancy.RAIDZ1, 5, 8, 1))


def test_a_pool_that_is_made_leaves_one_attachment_and_one_that_exists_need_not() -> None:
    require_attachable(40, instance_type(41))
    require_attachable(40, instance_type(42), reserve=RESERVED)
    with pytest.raises(
        Refused, match=r"40 volumes does not fit .*: it takes 39\. .* and one is kept for a replacement\."
    ):
        require_attachable(40, instance_type(41), reserve=RESERVED)
    with pytest.raises(Refused, match=r"40 volumes does not fit .*: it takes 39\. .* some are the machine's own\."):
        require_attachable(40, instance_type(40))


def test_a_pool_that_exists_takes_the_last_attachment() -> None:
    assert len(plan_attachment(FORTY, instance(), instance_type(41))) == 40
    with pytest.raises(Refused, match=r"pool of 40 volumes does not fit on a m7i.large: it takes 39"):
        plan_attachment(FORTY, instance(), instance_type(40))


LOST = volume("v1s1", state=VolumeState.ERROR)
TWO = volumes(PAIR)
THERE = volumes(PAIR, attached="attached")
NEW = [volume("v1s1", 2), volume("v1s2", 2)]
HANGING = replace(volume("v9s9", attached="attached"), retirement=KEPT)


@pytest.mark.parametrize(
    ("standing", "room", "attached"),
    [
        # Members are the oldest of their places, and come first.
        ([*TWO, *NEW], 2, "v1s1-g1 v1s2-g1"),
        ([*TWO, *NEW], 3, "v1s1-g1 v1s2-g1 v1s1-g2"),
        ([*TWO, *NEW], 4, "v1s1-g1 v1s2-g1 v1s1-g2 v1s2-g2"),
        ([*THERE, *NEW], 2, ""),
        ([*THERE, *NEW], 3, "v1s1-g2"),
        # One that left early, or that EC2 gave up, takes no attachment, unless it hangs there still.
        ([replace(TWO[0], retirement=Retirement()), TWO[1], *NEW], 2, "v1s2-g1 v1s1-g2"),
        ([LOST, TWO[1], *NEW], 2, "v1s2-g1 v1s1-g2"),
        ([replace(THERE[0], state=VolumeState.ERROR), TWO[1], *NEW], 2, "v1s2-g1"),
        ([replace(THERE[0], state=VolumeState.ERROR), TWO[1], *NEW], 3, "v1s2-g1 v1s1-g2"),
        ([*TWO, *NEW, HANGING], 3, "v1s1-g1 v1s2-g1"),
        # What is being attached has its attachment.
        ([*TWO, replace(NEW[0], attachment=ATTACHING)], 3, "v1s1-g1 v1s2-g1 v1s1-g2"),
        ([TWO[0], replace(THERE[1], attachment=ATTACHING), *NEW], 2, "v1s1-g1 v1s2-g1"),
    ],
)
def test_members_are_attached_first_and_newcomers_as_far_as_they_fit(
    standing: list[Volume], room: int, attached: str
) -> None:
    plan = plan_attachment(standing, instance(), instance_type(room + 1), accept_degraded=True)
    assert sorted(f"{action.place}-g{action.generation}" for action in plan) == sorted(attached.split())


def test_a_member_that_finds_no_attachment_is_told_with_what_hangs_there_in_its_stead() -> None:
    with pytest.raises(Refused, match=r"v1s2 \(.*\) finds? no free attachment .* not need: v9s9 \(.*\)\. Detach"):
        plan_attachment([*TWO, HANGING], instance(), instance_type(3))


def test_what_is_to_be_replaced_is_attached_if_it_can_be() -> None:
    plan = plan_attachment(TWO, instance(), instance_type(), condemned=frozenset({TWO[0].id}))
    assert [(str(action.place), action.needed) for action in plan] == [("v1s1", False), ("v1s2", True)]


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
    ],
)
def test_volumes_that_no_receiver_of_the_type_could_have_are_refused(standing: list[Volume], words: str) -> None:
    with pytest.raises(Refused, match=words):
        require_usable(standing, ZONE, instance_type(4, shared=True))


@pytest.mark.parametrize(
    "standing",
    [
        [LOST, volume("v1s2")],
        [*TWO, *NEW],
        [*TWO, volume("v2s1", retirement=KEPT, zone="eu-central-1b"), volume("v2s2", retirement=KEPT)],
        [volume("v1s1", schedule=Schedule(2, NOON))],
    ],
)
def test_others_are_not(standing: list[Volume]) -> None:
    require_usable(standing, ZONE, instance_type(4, shared=True))


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
