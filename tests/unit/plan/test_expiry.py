"""Which volumes that left the pool are deleted: only what a healthy pool has done without long enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.fakes.pools import INSTANCE, PAIR, design, volume

from ec2zfs.model.contents import ReceiverView
from ec2zfs.model.pool import DeviceState, Member, PoolStatus, Vdev
from ec2zfs.model.scan import Scan, ScanFunction, ScanState
from ec2zfs.model.standing import Standing
from ec2zfs.model.volume import Attachment, AttachmentState, Retirement, Volume
from ec2zfs.plan.expiry import plan_expiry

NOW = datetime(2026, 11, 25, 2, 17, tzinfo=UTC)
WEEK = timedelta(days=7)
DUE = Retirement(NOW - WEEK)
FRESH = Retirement(NOW - WEEK + timedelta(seconds=1))
OLD = volume("v1s1", retirement=DUE)
SUCCESSOR = volume("v1s1", 2, attached="attached")
OTHER = volume("v1s2", attached="attached")
ELSEWHERE = Attachment("i-0fedcba9876543210", "/dev/sdf", AttachmentState.ATTACHED)
RESILVER = Scan(ScanFunction.RESILVER, ScanState.RUNNING)
SCRUB = Scan(ScanFunction.SCRUB, ScanState.RUNNING)


def member(of: Volume, state: DeviceState = DeviceState.ONLINE, **changes: object) -> Member:
    made = Member(f"/dev/mapper/{of.mapping}", state, place=of.place, generation=of.generation)
    return replace(made, **changes)  # type: ignore[arg-type]


def pool(*members: Member, **changes: object) -> PoolStatus:
    vdev = Vdev("mirror-0", "mirror", DeviceState.ONLINE, members)
    made = PoolStatus("cloud", 1, DeviceState.ONLINE, (vdev,), 0, 0, 0)
    return replace(made, **changes)  # type: ignore[arg-type]


HEALTHY = pool(member(SUCCESSOR), member(OTHER))


def planned(
    *kept: Volume, status: PoolStatus = HEALTHY, mappings: Sequence[str] = (), encrypted: bool = True
) -> list[str]:
    """What is done to the volumes that are kept, beside the two of the pool; without the reasons."""
    view = ReceiverView(imported=status, mappings=(SUCCESSOR.mapping, OTHER.mapping, *mappings))
    here = design(PAIR, encrypted=encrypted)
    standing = Standing(here, (*kept, SUCCESSOR, OTHER), view, INSTANCE, 3, NOW)
    return [str(action).partition(" (")[0] for action in plan_expiry(standing, WEEK)]


@pytest.mark.parametrize(
    ("kept", "done"),
    [
        ([OLD], ["delete volume cloud-v1s1-g1"]),
        ([volume("v1s1", retirement=FRESH)], []),
        ([volume("v1s1", retirement=Retirement(None))], []),
        ([volume("v1s1")], []),
        ([volume("v1s1", retirement=DUE, attached="attached")], ["detach volume cloud-v1s1-g1"]),
        ([volume("v1s1", retirement=DUE, attachment=ELSEWHERE)], []),
        ([volume("v1s2", 7, retirement=DUE)], ["delete volume cloud-v1s2-g7"]),
        ([volume("v2s1", retirement=DUE)], ["delete volume cloud-v2s1-g1"]),
        (
            [OLD, volume("v1s1", 3, retirement=DUE, attached="attached"), volume("v1s2", 2, retirement=FRESH)],
            ["delete volume cloud-v1s1-g1", "detach volume cloud-v1s1-g3"],
        ),
    ],
    ids=[
        "its time has come",
        "a second too early",
        "the pool was not healthy since",
        "it was never put aside",
        "it still hangs there",
        "somebody looks at it on another machine",
        "a newer one that was given up",
        "of a vdev that never came to be",
        "each for itself",
    ],
)
def test_what_was_kept_long_enough(kept: list[Volume], done: list[str]) -> None:
    assert planned(*kept) == done


@pytest.mark.parametrize(
    "status",
    [
        pool(member(SUCCESSOR, DeviceState.DEGRADED), member(OTHER)),
        pool(member(SUCCESSOR), member(OTHER, DeviceState.FAULTED), state=DeviceState.DEGRADED),
        pool(member(SUCCESSOR), member(OTHER, checksum_errors=1)),
        pool(member(SUCCESSOR), member(OTHER), errors="3 data errors, use '-v' for a list"),
        pool(member(SUCCESSOR), member(OTHER), scan=RESILVER),
        pool(member(SUCCESSOR, resilvering=True), member(OTHER)),
        pool(member(SUCCESSOR), member(OTHER, replacing=True), member(volume("v1s2", 2), replacing=True)),
        pool(member(OLD), member(OTHER)),
        pool(
            member(OTHER), Member("/dev/mapper/nobody-knows-it", DeviceState.ONLINE), Member("/x", DeviceState.ONLINE)
        ),
    ],
    ids=[
        "its successor is not online",
        "another member is lost",
        "an error was counted",
        "data is damaged",
        "it resilvers",
        "a member waits to be resilvered",
        "a replacement is under way",
        "it is a member",
        "a member's place is unknown, and may be its",
    ],
)
def test_nothing_is_deleted_while(status: PoolStatus) -> None:
    assert planned(OLD, status=status) == []


def test_a_scrub_is_no_hindrance() -> None:
    assert planned(OLD, status=replace(HEALTHY, scan=SCRUB)) == ["delete volume cloud-v1s1-g1"]


def test_what_is_open_is_left_alone() -> None:
    assert planned(OLD, mappings=[OLD.mapping]) == []


def test_without_encryption_a_member_is_known_by_its_serial() -> None:
    bare = [replace(member(each), path=f"/dev/disk/by-id/x-{each.serial}", place=None) for each in (SUCCESSOR, OTHER)]
    assert planned(OLD, status=pool(*bare), encrypted=False) == ["delete volume cloud-v1s1-g1"]
    still = replace(bare[0], path=f"/dev/disk/by-id/x-{OLD.serial}")
    assert planned(OLD, status=pool(still, bare[1]), encrypted=False) == []


@pytest.mark.parametrize(
    ("kept", "reason"),
    [
        (OLD, f"cloud-v1s1-g2 ({SUCCESSOR.id}) stands there now"),
        (volume("v2s1", retirement=DUE), "v2s1 is no more in the pool"),
    ],
)
def test_the_reason_tells_since_when_and_what_stands_there_now(kept: Volume, reason: str) -> None:
    view = ReceiverView(imported=HEALTHY)
    standing = Standing(design(PAIR), (kept, SUCCESSOR, OTHER), view, INSTANCE, 3, NOW)
    [action] = plan_expiry(standing, WEEK)
    told = f"out of a healthy pool since 2026-11-18 02:17 UTC; {reason}"
    assert str(action) == f"delete volume {kept.mapping} ({kept.id}): {told}"
