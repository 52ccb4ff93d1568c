"""What the contract does not tell: pages, retries, and the chain of client tokens, answer by answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from functools import partial
from typing import Any

import pytest
from botocore.stub import Stubber
from tests.fakes.local_ec2 import HASTY, ZONE, Served, client, launched

from ec2zfs.cloud import tags
from ec2zfs.cloud.protocols import VolumeOrder
from ec2zfs.cloud.tokens import client_token
from ec2zfs.cloud.volumes import Volumes
from ec2zfs.errors import CloudError, ModificationTooSoon, Refused
from ec2zfs.lab.faults import Fault, FaultKind
from ec2zfs.model.layout import Place
from ec2zfs.model.volume import Attachment, AttachmentState, Volume, VolumeState

ORDER = VolumeOrder(Place(1, 2), generation=1, size_gib=1, type="gp3", zone=ZONE)
ATTACHED = Volume(
    "vol-1",
    "cloud",
    Place(1, 2),
    generation=1,
    size_gib=1,
    type="gp3",
    zone=ZONE,
    state=VolumeState.IN_USE,
    attachment=Attachment("i-1", "/dev/sdf", AttachmentState.ATTACHED),
)
NOW = datetime(2026, 11, 23, 2, 17, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=1)
A_LITTLE_AGO = NOW - timedelta(seconds=10)
TAGS = {
    "ec2zfs:pool": "cloud",
    "ec2zfs:role": "volume",
    "ec2zfs:vdev": "1",
    "ec2zfs:slot": "2",
    "ec2zfs:generation": "1",
    "Name": "ec2zfs cloud v1s2",
}
OURS = [{"Name": "tag:ec2zfs:pool", "Values": ["cloud"]}, {"Name": "tag:ec2zfs:role", "Values": ["volume"]}]


class Script:
    """The calls to come and their answers, in this order; any other call fails the test."""

    def __init__(self) -> None:
        self.ec2 = client()
        self.stub = Stubber(self.ec2)
        self.volumes = Volumes(self.ec2, "cloud", HASTY)

    def creates(self, attempt: int, volume: dict[str, Any], date: datetime | None = NOW) -> None:
        headers = {"date": format_datetime(date, usegmt=True)} if date else {}
        answer = volume | {"ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": headers}}
        self.stub.add_response("create_volume", answer, self._asked(attempt))

    def mismatches(self, attempt: int, said: str = "") -> None:
        self.stub.add_client_error(
            "create_volume", "IdempotentParameterMismatch", said, expected_params=self._asked(attempt)
        )

    def lists(self, *volumes: dict[str, Any], token: str = "", following: str = "") -> None:
        asked = {"Filters": OURS, "MaxResults": 500} | ({"NextToken": token} if token else {})
        answer = {"Volumes": list(volumes)} | ({"NextToken": following} if following else {})
        self.stub.add_response("describe_volumes", answer, asked)

    @staticmethod
    def _asked(attempt: int) -> dict[str, Any]:
        return {
            "AvailabilityZone": ZONE,
            "Size": 1,
            "VolumeType": "gp3",
            "ClientToken": client_token(TAGS, attempt),
            "TagSpecifications": [{"ResourceType": "volume", "Tags": tags.as_tags(TAGS)}],
        }


@pytest.fixture
def script() -> Iterator[Script]:
    written = Script()
    with written.stub:
        yield written
        written.stub.assert_no_pending_responses()


def described(
    volume_id: str, state: str = "creating", made: datetime = NOW, tagged: dict[str, str] | None = None
) -> dict[str, Any]:
    return {
        "VolumeId": volume_id,
        "State": state,
        "Size": 1,
        "VolumeType": "gp3",
        "AvailabilityZone": ZONE,
        "CreateTime": made,
        "Tags": tags.as_tags(TAGS | (tagged or {})),
        "Attachments": [],
    }


def test_a_new_volume_needs_no_second_look(script: Script) -> None:
    script.creates(0, described("vol-1"))
    assert script.volumes.create(ORDER).id == "vol-1"


def test_an_answer_without_a_date_is_taken_for_new(script: Script) -> None:
    script.creates(0, described("vol-1", made=LONG_AGO), date=None)
    assert script.volumes.create(ORDER).id == "vol-1"


def test_a_volume_of_an_earlier_call_is_looked_at(script: Script) -> None:
    script.creates(0, described("vol-1", made=LONG_AGO))
    script.lists(described("vol-1", "in-use", LONG_AGO))
    assert script.volumes.create(ORDER).state is VolumeState.IN_USE


@pytest.mark.parametrize("state", ["deleting", "deleted"])
def test_a_new_answer_that_says_deleted_leads_to_the_next_attempt(script: Script, state: str) -> None:
    script.creates(0, described("vol-1", state))
    script.creates(1, described("vol-2"))
    assert script.volumes.create(ORDER).id == "vol-2"


def test_an_old_volume_that_is_not_listed_was_deleted(script: Script) -> None:
    script.creates(0, described("vol-1", made=LONG_AGO))
    script.lists(described("vol-9"))
    script.creates(1, described("vol-2", made=LONG_AGO))
    script.lists(described("vol-2", "deleting", LONG_AGO))
    script.creates(2, described("vol-3"))
    assert script.volumes.create(ORDER).id == "vol-3"


def test_a_young_volume_may_not_be_listed_yet(script: Script) -> None:
    script.volumes = Volumes(script.ec2, "cloud", replace(HASTY, settle_seconds=30))
    script.creates(0, described("vol-1", made=A_LITTLE_AGO))
    script.lists()
    script.lists()
    script.lists(described("vol-1", "available"))
    assert script.volumes.create(ORDER).state is VolumeState.AVAILABLE


def test_a_token_of_another_order_leads_to_what_stands_there(script: Script) -> None:
    script.mismatches(0)
    script.lists()
    script.lists(described("vol-1", "deleting"), described("vol-2", "available"))
    assert script.volumes.create(ORDER).id == "vol-2"


def test_a_token_of_another_order_whose_volume_is_gone_leads_to_the_next_attempt(script: Script) -> None:
    script.volumes = Volumes(script.ec2, "cloud", replace(HASTY, settle_seconds=0))
    script.mismatches(0)
    script.lists(described("vol-9", tagged={"ec2zfs:generation": "2"}))
    script.creates(1, described("vol-2"))
    assert script.volumes.create(ORDER).id == "vol-2"


def test_a_token_whose_volume_is_deleted_leads_to_the_next_attempt_at_once(script: Script) -> None:
    script.mismatches(0, "The client token is associated with a resource that is already deleted.")
    script.creates(1, described("vol-2"))
    assert script.volumes.create(ORDER).id == "vol-2"


def test_the_chain_of_attempts_ends(script: Script) -> None:
    for attempt in range(50):
        script.creates(attempt, described("vol-1", "deleted"))
    with pytest.raises(CloudError, match="v1s2 of pool cloud was created and deleted 50 times"):
        script.volumes.create(ORDER)


def test_every_page_is_read(script: Script) -> None:
    script.lists(described("vol-1"), following="page 2")
    script.lists(described("vol-2"), token="page 2", following="page 3")
    script.lists(described("vol-3"), token="page 3")
    assert [volume.id for volume in script.volumes.volumes()] == ["vol-1", "vol-2", "vol-3"]


def test_many_volumes_are_awaited_with_one_call_a_look(script: Script) -> None:
    script.lists(described("vol-1"), described("vol-2"), described("vol-3"))
    script.lists(described("vol-1", "available"), described("vol-2"), described("vol-3", "available"))
    script.lists(*(described(each, "available") for each in ("vol-1", "vol-2", "vol-3")))
    ready = script.volumes.awaited(["vol-1", "vol-2", "vol-3"], lambda volume: volume.state == "available", 5)
    assert len(ready) == 3


def test_the_limit_names_what_is_late(script: Script) -> None:
    script.lists(described("vol-1", "available"), described("vol-2"))
    with pytest.raises(CloudError, match=r"2 of 3 volumes: vol-2 \(v1s2: creating\), vol-3 \(unknown to EC2\)\."):
        script.volumes.awaited(["vol-1", "vol-2", "vol-3"], lambda volume: volume.state == "available", 0)


def test_a_volume_that_vanishes_while_it_is_awaited_is_not_done(script: Script) -> None:
    script.volumes = Volumes(script.ec2, "cloud", replace(HASTY, poll_seconds=0.2))
    script.lists(described("vol-1", "available"), described("vol-2"))
    script.lists(described("vol-2", "available"))
    with pytest.raises(CloudError, match=r"1 of 2 volumes: vol-1 \(unknown to EC2\)\."):
        script.volumes.awaited(["vol-1", "vol-2"], lambda volume: volume.state == "available", 0.2)


@pytest.mark.parametrize("left", [[], [{"InstanceId": "i-1", "Device": "/dev/sdf", "State": "detaching"}]])
def test_a_volume_that_is_leaving_already_needs_no_detaching(script: Script, left: list[dict[str, str]]) -> None:
    script.stub.add_client_error("detach_volume", "IncorrectState")
    script.lists(described("vol-1", "in-use") | {"Attachments": left})
    script.volumes.detach(ATTACHED)


def test_a_volume_that_cannot_be_detached_is_told(script: Script) -> None:
    script.stub.add_client_error("detach_volume", "IncorrectState")
    busy = [{"InstanceId": "i-1", "Device": "/dev/sdf", "State": "busy"}]
    script.lists(described("vol-1", "in-use") | {"Attachments": busy})
    with pytest.raises(CloudError, match="ec2:DetachVolume"):
        script.volumes.detach(ATTACHED)


def test_a_volume_that_ec2_knows_no_more_is_deleted(script: Script) -> None:
    script.stub.add_client_error("delete_volume", "InvalidVolume.NotFound")
    script.volumes.delete(ATTACHED)


@pytest.mark.parametrize(
    ("tag", "value", "others"),
    [
        ("ec2zfs:vdev", "x", {}),
        ("ec2zfs:slot", "0", {}),
        ("ec2zfs:generation", "", {}),
        ("ec2zfs:retired", "", {}),
        ("ec2zfs:retired", "yesterday", {}),
        ("ec2zfs:retired", "2026-11-25", {}),
        ("ec2zfs:grow-to", "2G", {"ec2zfs:grow-after": "2026-11-25T02:17:00Z"}),
        ("ec2zfs:grow-after", "", {"ec2zfs:grow-to": "2"}),
    ],
)
def test_a_tag_of_ours_that_says_nothing_is_named(script: Script, tag: str, value: str, others: dict[str, str]) -> None:
    script.lists(described("vol-1", tagged={tag: value, **others}))
    with pytest.raises(
        CloudError, match=f"Volume vol-1 is tagged as one of pool cloud, but its tag {tag} is '{value}'"
    ):
        script.volumes.volumes()


def test_times_in_tags_are_never_too_early() -> None:
    moments = (
        NOW,
        NOW + timedelta(microseconds=1),
        (NOW + timedelta(hours=1)).astimezone(timezone(timedelta(hours=2))),
    )
    assert [tags.time_value(each) for each in moments] == [
        "2026-11-23T02:17:00Z",
        "2026-11-23T02:17:01Z",
        "2026-11-23T03:17:00Z",
    ]
    assert tags.read_time("2026-11-23T02:17:00Z") == NOW


def modification(size: int, kind: str) -> dict[str, Any]:
    return {"VolumeId": "vol-1", "TargetSize": size, "TargetVolumeType": kind, "ModificationState": "modifying"}


@pytest.mark.parametrize(
    ("latest", "taken"),
    [
        (modification(2, "gp3"), True),
        (modification(3, "gp3"), False),
        (modification(2, "gp2"), False),
        (None, False),
    ],
)
def test_a_modification_under_way_is_success_if_it_leads_there(
    script: Script, latest: dict[str, Any] | None, taken: bool
) -> None:
    script.lists(described("vol-1", "in-use"))
    asked = {"VolumeId": "vol-1", "Size": 2, "VolumeType": "gp3"}
    script.stub.add_client_error("modify_volume", "IncorrectModificationState", expected_params=asked)
    if latest:
        script.stub.add_response("describe_volumes_modifications", {"VolumesModifications": [latest]})
    else:
        script.stub.add_client_error("describe_volumes_modifications", "InvalidVolumeModification.NotFound")
    if taken:
        script.volumes.modify(ATTACHED, 2, "gp3")
    else:
        with pytest.raises(ModificationTooSoon) as caught:
            script.volumes.modify(ATTACHED, 2, "gp3")
        assert caught.value.code == "IncorrectModificationState"


def test_what_ec2_has_already_is_not_asked_for_as_that_would_count(script: Script) -> None:
    script.lists(described("vol-1", "in-use") | {"Size": 2})
    script.volumes.modify(ATTACHED, 2, "gp3")


def test_a_volume_that_grew_meanwhile_does_not_shrink(script: Script) -> None:
    script.lists(described("vol-1", "in-use") | {"Size": 3})
    with pytest.raises(Refused, match="has 3 GiB and cannot shrink to 2"):
        script.volumes.modify(ATTACHED, 2, "gp3")


def test_tokens_are_64_ascii_characters_and_follow_from_the_name() -> None:
    token = client_token(TAGS, 0)
    assert token == client_token(dict(reversed(TAGS.items())), 0)
    assert len(token) == 64
    assert token.isascii()
    others = [client_token(TAGS, 1), *(client_token(TAGS | {name: "other"}, 0) for name in TAGS)]
    assert len({token, *others}) == len(TAGS) + 2


def test_pools_do_not_see_each_other(cloud: Served, pool: str) -> None:
    mine, yours = (Volumes(cloud.ec2, name, HASTY) for name in (pool, f"{pool}-of-yours"))
    volume = mine.create(ORDER)
    assert yours.volumes() == []
    assert yours.create(ORDER).id != volume.id
    assert [each.id for each in mine.volumes()] == [volume.id]


def test_an_attach_is_repeated_while_ec2_does_not_know_the_volume_yet(cloud: Served, pool: str) -> None:
    volumes = Volumes(cloud.ec2, pool, HASTY)
    instance = launched(cloud.ec2)
    [volume] = volumes.awaited([volumes.create(ORDER).id], lambda each: each.state == "available", 5)
    for code in ("InvalidVolume.NotFound", "InvalidInstanceID.NotFound"):
        cloud.local.faults.add(Fault(FaultKind.FAIL, "AttachVolume", code=code))
    volumes.attach(volume, instance, "/dev/sdf")
    assert cloud.local.calls.counts()["AttachVolume"] == 3


def test_an_attach_whose_answer_was_lost_is_success(cloud: Served, pool: str) -> None:
    volumes = Volumes(cloud.ec2, pool, HASTY)
    instance = launched(cloud.ec2)
    [volume] = volumes.awaited([volumes.create(ORDER).id], lambda each: each.state == "available", 5)
    cloud.local.faults.add(Fault(FaultKind.LOSE_ANSWER, "AttachVolume"))
    volumes.attach(volume, instance, "/dev/sdf")
    assert cloud.local.calls.counts()["AttachVolume"] == 2


def test_a_create_whose_answer_was_lost_makes_one_volume(cloud: Served, pool: str) -> None:
    volumes = Volumes(cloud.ec2, pool, HASTY)
    cloud.local.faults.add(Fault(FaultKind.LOSE_ANSWER, "CreateVolume"))
    volume = volumes.create(ORDER)
    assert cloud.local.calls.counts()["CreateVolume"] == 2
    assert [each.id for each in volumes.volumes()] == [volume.id]


def test_a_modification_whose_answer_was_lost_is_success(cloud: Served, pool: str) -> None:
    volumes = Volumes(cloud.ec2, pool, HASTY)
    [volume] = volumes.awaited([volumes.create(ORDER).id], lambda each: each.state == "available", 5)
    cloud.local.faults.add(Fault(FaultKind.LOSE_ANSWER, "ModifyVolume"))
    volumes.modify(volume, 2, "gp3")
    volumes.awaited([volume.id], lambda each: each.size_gib == 2, 5)


def test_a_fifth_modification_in_a_day_is_refused_with_the_time_of_the_next(cloud: Served, pool: str) -> None:
    volumes = Volumes(cloud.ec2, pool, HASTY)
    [volume] = volumes.awaited([volumes.create(ORDER).id], lambda each: each.state == "available", 5)
    began = datetime.now(UTC)
    for size in (2, 3, 4, 5):
        modify = partial(volumes.modify, volume, size, "gp3")
        HASTY.settled(modify, "IncorrectModificationState")
        volumes.awaited([volume.id], lambda each, size=size: each.size_gib == size, 5)  # type: ignore[misc]
    with pytest.raises(ModificationTooSoon) as caught:
        HASTY.settled(lambda: volumes.modify(volume, 6, "gp3"), "IncorrectModificationState")
    assert timedelta(0) <= caught.value.not_before - began - timedelta(days=1) + timedelta(seconds=1)
    assert caught.value.not_before - began < timedelta(days=1, seconds=10)


def test_throttling_is_waited_out(cloud: Served, pool: str) -> None:
    cloud.local.faults.add(Fault(FaultKind.FAIL, "DescribeVolumes", code="RequestLimitExceeded"))
    assert Volumes(cloud.ec2, pool).volumes() == []
    assert cloud.local.calls.counts()["DescribeVolumes"] == 2


def test_an_attach_that_hangs_ends_at_the_limit(cloud: Served, pool: str) -> None:
    volumes = Volumes(cloud.ec2, pool, HASTY)
    instance = launched(cloud.ec2)
    [volume] = volumes.awaited([volumes.create(ORDER).id], lambda each: each.state == "available", 5)
    cloud.local.faults.add(Fault(FaultKind.HANG_ATTACH))
    volumes.attach(volume, instance, "/dev/sdf")
    with pytest.raises(CloudError, match="v1s2: in-use, attaching"):
        volumes.awaited(
            [volume.id], lambda each: bool(each.attachment and each.attachment.state is AttachmentState.ATTACHED), 0.1
        )
