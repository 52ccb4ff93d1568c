"""The pool opened for work on itself: looked at as a whole, and changed step by step as a plan says.

Whatever goes wrong, a pool that was opened for the work is locked again and a receiver that was started for it stopped.
Nothing of a run is needed by the next one: it looks again and carries on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from ec2zfs.errors import Refused, WrongPoolKey
from ec2zfs.execute.members import Members
from ec2zfs.execute.pool import CloudPool
from ec2zfs.execute.progress import Progress
from ec2zfs.execute.receiver import Receiver
from ec2zfs.execute.scans import await_scan
from ec2zfs.execute.volumes import VolumeFleet
from ec2zfs.hosts.host import Host
from ec2zfs.hosts.secret import Secret
from ec2zfs.model.contents import ReceiverView
from ec2zfs.model.instance import InstanceType
from ec2zfs.model.pool import PoolDesign, PoolStatus
from ec2zfs.model.standing import Standing
from ec2zfs.model.volume import Volume
from ec2zfs.plan.attachment import attachments
from ec2zfs.plan.pool import FormatVolume, OpenVolume, usable
from ec2zfs.plan.upkeep import AwaitScan, Step, UpkeepAction
from ec2zfs.plan.volumes import VolumeAction, current, require_usable
from ec2zfs.runs.receiver_up import is_up, receiver_up
from ec2zfs.runs.stages import Journal
from ec2zfs.tools.volume_keys import VolumeKeys


class Attach(Protocol):
    """Brings the pool's volumes to the receiver, as far as they are sound and find an attachment."""

    def __call__(self, *, condemned: frozenset[str] = frozenset()) -> Sequence[Volume]:
        """Attach what is not yet, and return what is; volumes of the ids `condemned` only if they can be."""
        ...


@dataclass(frozen=True)
class UpkeepParts:
    """What work on the pool works with; `instance_type` is the configured one, `seat` the receiver's id and type.

    `scrub_age`: how old a clean scrub may be when volumes are replaced; `grace`: how long a replaced volume is kept.
    """

    design: PoolDesign
    zone: str
    instance_type: Callable[[], InstanceType]
    seat: Callable[[], tuple[str, InstanceType]]
    fleet: VolumeFleet
    receiver: Receiver
    attach: Attach
    cloud_pool: Callable[[Host], CloudPool]
    members: Callable[[Host], Members]
    scrub_age: timedelta
    grace: timedelta
    progress: Progress


class OpenPool:
    """The pool while it is imported on a receiver."""

    def __init__(self, parts: UpkeepParts, host: Host, keys: VolumeKeys | None, now: Callable[[], datetime]) -> None:
        self.host = host
        self.keys = keys
        self.parts = parts
        self._now = now
        self._pool = parts.cloud_pool(host)
        self._members = parts.members(host)
        self._instance, self._type = parts.seat()
        self._standing: Standing | None = None
        self._awaited: ReceiverView | None = None

    def status(self) -> PoolStatus:
        """What ZFS says of the pool."""
        return self._pool.status()

    def observe(self) -> Standing:
        """Everything as it stands now: one question to EC2 and one look at the receiver, but that a wait ended with."""
        volumes = tuple(self.parts.fleet.volumes())
        standing = Standing(
            design=self.parts.design,
            volumes=volumes,
            view=self._view(self._came(volumes)),
            instance=self._instance,
            spare_attachments=self._spare_attachments(),
            now=self._now(),
        )
        closed = [each for each in standing.current if each.mapping not in standing.view.mappings]
        new = [each for each in closed if standing.attached(each) and standing.member(each) is None]
        if {each.serial for each in new} - {each.serial for each in standing.view.volumes}:
            standing = standing.seeing(self._pool.observe(new))
        self._standing = standing
        return standing

    def carry_out(self, step: Step, after: Callable[[Step], object] = lambda _: None) -> None:
        """Do a step's actions in their order, those of one family that follow one another side by side.

        `after` is told each family once it is done.
        """
        for family in _families(step):
            self._awaited = None
            first = family[0]
            if isinstance(first, AwaitScan):
                before = self._standing.pool if self._standing else None
                self._awaited = await_scan(self._pool.look, first.function, self.parts.progress, before=before)
            elif isinstance(first, VolumeAction):
                for action in family:
                    self.parts.progress.say(str(action))
                self.parts.fleet.carry_out([each for each in family if isinstance(each, VolumeAction)])
            else:
                self._members.carry_out(family, self.keys)
            after(tuple(family))

    def work(self, plan: Callable[[Standing], Step]) -> Standing:
        """Carry a plan out, step after step, until it has no more; the standing after it."""
        while step := plan(standing := self.observe()):
            self.carry_out(step)
        return standing

    def _view(self, came: Sequence[Volume]) -> ReceiverView:
        view, self._awaited = self._awaited, None
        return view or (self._pool.observe(came) if came else self._pool.look())

    def _came(self, volumes: Sequence[Volume]) -> list[Volume]:
        """The volumes that were attached since the last look: what is on them is asked together with all the rest."""
        if self._standing is None:
            return []
        here = {each.id for each in self._standing.volumes if self._standing.attached(each)}
        now = replace(self._standing, volumes=tuple(volumes))
        return [each for each in now.current if now.attached(each) and each.id not in here]

    def _spare_attachments(self) -> int:
        return max(0, attachments(self._type) - self.parts.design.layout.volumes)


@contextmanager
def opened(
    parts: UpkeepParts, key: Secret | None, journal: Journal, *, other_key: Secret | None = None
) -> Iterator[OpenPool]:
    """The pool, imported on a receiver on demand; in the end both are as they were before.

    What cannot be opened is left out, and the pool imported with less redundancy: who works on it looks. `other_key` is
    tried where `key` does not open it. Raises `Refused` when there are no volumes or the receiver could not have them,
    before anything is started.
    """
    require_volumes(parts)
    was_up = is_up(parts.receiver)
    with receiver_up(parts.receiver, journal, keep=was_up, on_demand=True) as host:
        was_open = was_up and parts.cloud_pool(host).found() is not None
        with unlocked(parts, host, (key, other_key), journal, keep=was_open) as pool:
            yield pool


@contextmanager
def unlocked(
    parts: UpkeepParts, host: Host, keys: tuple[Secret | None, Secret | None], journal: Journal, *, keep: bool = False
) -> Iterator[OpenPool]:
    """The pool, imported on this receiver, with the first of the two keys that opens it; locked again unless `keep`."""
    pool = parts.cloud_pool(host)
    name, undo = ("leave the pool open", lambda: None) if keep else ("lock the pool", pool.lock)
    with journal.undone_by(name, undo):
        used = _unlocked(parts, pool, keys, journal)
        yield OpenPool(parts, host, VolumeKeys(used, parts.design.name) if used else None, journal.now)


def require_volumes(parts: UpkeepParts) -> list[Volume]:
    """The pool's volumes, those that are only kept too; `Refused` when the receiver could not have the current ones."""
    volumes = parts.fleet.volumes()
    if not current(volumes):
        raise Refused(
            f"There are no volumes of pool {parts.design.name} at EC2.",
            hint="Make the pool with `ec2zfs pool create`, or correct pool.name, aws.region or the credentials.",
        )
    require_usable(current(volumes), parts.zone, parts.instance_type())
    return volumes


def replacement_under_way(volumes: Sequence[Volume]) -> bool:
    """Whether a place has two current volumes, or one whose predecessor left early: a resilver may be going on."""
    places = [volume.place for volume in volumes if volume.retirement is None or volume.unproven]
    return len(places) > len(set(places))


def _unlocked(
    parts: UpkeepParts, pool: CloudPool, keys: tuple[Secret | None, Secret | None], journal: Journal
) -> Secret | None:
    """Attach and unlock; the key that opened it."""
    used, other = keys
    with journal.stage("unlock the pool") as stage:
        volumes = parts.attach()
        try:
            pool.unlock(used, volumes, accept_degraded=True)
        except WrongPoolKey:
            if other is None:
                raise
            used = other
            pool.unlock(used, volumes, accept_degraded=True)
        stage.outcome = f"{len(usable(volumes))} volumes attached, {parts.design.name} imported"
    return used


def _families(step: Step) -> Iterator[list[UpkeepAction]]:
    """The actions in their order, cut where another executor comes."""
    family: list[UpkeepAction] = []
    for action in step:
        if family and (_executor(action) != _executor(family[-1]) or isinstance(action, AwaitScan)):
            yield family
            family = []
        family.append(action)
    if family:
        yield family


def _executor(action: UpkeepAction) -> str:
    match action:
        case AwaitScan():
            return "scan"
        case FormatVolume() | OpenVolume():
            return "opening"
        case _:
            return "volumes" if isinstance(action, VolumeAction) else "members"
