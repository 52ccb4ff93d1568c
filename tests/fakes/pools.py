"""Volumes, instances and layouts for tests, with everything that a test does not care about filled in."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from ec2zfs.model.instance import Instance, InstanceState, InstanceType, Market
from ec2zfs.model.layout import Layout, Place, Redundancy
from ec2zfs.model.pool import PoolDesign
from ec2zfs.model.volume import Attachment, AttachmentState, Volume, VolumeState
from ec2zfs.plan.volumes import VolumeWish

INSTANCE = "i-0123456789abcdef0"
ZONE = "eu-central-1a"
SIX = Layout(Redundancy.RAIDZ1, 2, 3, 1)
PAIR = Layout(Redundancy.MIRROR, 1, 2, 1)


def design(layout: Layout = SIX, *, encrypted: bool = True) -> PoolDesign:
    """The pool `cloud`."""
    return PoolDesign("cloud", layout, encrypted)


def wish(layout: Layout = SIX, *, zone: str = ZONE) -> VolumeWish:
    """The volumes of the pool `cloud`."""
    return VolumeWish("cloud", layout, "gp3", zone)


def volume(place: str, generation: int = 1, **changes: object) -> Volume:
    """An available volume at a place such as `v2s3`; `attached="attached"` (or another state) hangs it on INSTANCE."""
    vdev, slot = (int(number) for number in place[1:].split("s"))
    bond = changes.pop("attached", None)
    made = Volume(
        id=f"vol-{vdev:02x}{slot:02x}{generation:013x}",
        pool="cloud",
        place=Place(vdev, slot),
        generation=generation,
        size_gib=1,
        type="gp3",
        zone=ZONE,
        state=VolumeState.AVAILABLE if bond is None else VolumeState.IN_USE,
        attachment=None if bond is None else Attachment(INSTANCE, "/dev/sdf", AttachmentState(str(bond))),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def volumes(layout: Layout = SIX, **changes: object) -> list[Volume]:
    """One volume for each place."""
    return [volume(str(place), 1, **changes) for place in layout.places()]


def instance(**changes: object) -> Instance:
    """The receiver, running."""
    made = Instance(
        id=INSTANCE,
        pool="cloud",
        type="m7i.large",
        zone=ZONE,
        state=InstanceState.RUNNING,
        market=Market.ON_DEMAND,
        address="127.0.0.9",
        host_key="",
        launched=datetime(2026, 11, 23, tzinfo=UTC),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def instance_type(attachments: int = 32, *, shared: bool = False) -> InstanceType:
    """A type that takes so many attachments."""
    return InstanceType("m7i.large", 8192, attachments, shared, "x86_64")
