"""Making the pool: volumes, receiver, attachment, LUKS, zpool; then locked again. Each stage plans on what it sees.

Killed anywhere and run again, it ends with the one pool, and no volume is paid for twice: volumes are found by their
tags, and what they hold by looking. It deletes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ec2zfs.execute.pool import CloudPool
from ec2zfs.execute.receiver import Receiver
from ec2zfs.execute.volumes import VolumeFleet
from ec2zfs.hosts.host import Host
from ec2zfs.hosts.secret import Secret
from ec2zfs.model.instance import InstanceType
from ec2zfs.model.pool import PoolDesign, PoolStatus
from ec2zfs.model.volume import Volume
from ec2zfs.plan.attachment import RESERVED, require_attachable
from ec2zfs.plan.foresight import blank, created, foreseen
from ec2zfs.plan.pool import PoolAction, usable
from ec2zfs.plan.receiver import ReceiverAction
from ec2zfs.plan.volumes import CreateVolume, VolumeWish, current, plan_creation
from ec2zfs.runs.receiver_up import is_up, receiver_up
from ec2zfs.runs.stages import Journal


@dataclass(frozen=True)
class CreationParts:
    """What the making works with. `instance_type`: the configured one; `attach` brings all volumes to the receiver."""

    design: PoolDesign
    wish: VolumeWish
    instance_type: Callable[[], InstanceType]
    fleet: VolumeFleet
    receiver: Receiver
    attach: Callable[[], Sequence[Volume]]
    cloud_pool: Callable[[Host], CloudPool]


@dataclass(frozen=True)
class CreationPreview:
    """What would be done, in order. `standing` volumes exist already: `pool` supposes that they hold nothing yet."""

    volumes: tuple[CreateVolume, ...]
    standing: int
    receiver: tuple[ReceiverAction, ...]
    pool: tuple[PoolAction, ...]


def plan_volumes(parts: CreationParts) -> tuple[CreateVolume, ...]:
    """The volumes still to be bought; `Refused`, before any is, when the pool would not fit on the receiver."""
    require_attachable(parts.design.layout.volumes, parts.instance_type(), reserve=RESERVED)
    return plan_creation(parts.wish, parts.fleet.volumes())


def preview_creation(parts: CreationParts) -> CreationPreview:
    """Look and plan; change nothing."""
    volumes = current(parts.fleet.volumes())
    creation = plan_volumes(parts)
    every = [*volumes, *map(created, creation)]
    return CreationPreview(
        creation, len(volumes), parts.receiver.starting(), foreseen(parts.design, every, blank(every))
    )


def create_pool(parts: CreationParts, key: Secret | None, journal: Journal) -> PoolStatus:
    """Make the pool, or finish making it; returns it as it was before it was locked. `key` is the pool key.

    A receiver that was up before stays up; one that was started for this is stopped.
    """
    with journal.stage("create the volumes") as stage:
        creation = plan_volumes(parts)
        parts.fleet.carry_out(creation)
        stage.outcome = f"{len(creation)} created, {parts.design.layout.volumes - len(creation)} were there"
    with receiver_up(parts.receiver, journal, keep=is_up(parts.receiver)) as host:
        pool = parts.cloud_pool(host)
        with journal.stage("attach the volumes") as stage:
            volumes = usable(parts.attach())
            stage.outcome = f"{len(volumes)} attached"
        with journal.undone_by("lock the pool", pool.lock), journal.stage("make the pool") as stage:
            status = pool.create(key, volumes)
            stage.outcome = f"{status.name} is {status.state}"
    return status
