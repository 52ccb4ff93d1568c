"""The volumes of the pool at EC2: created, attached, detached, deleted, modified and put aside, as a plan says.

Decides nothing but the order: kind by kind, and within a kind as many at a time as `workers` allows. Each wait asks for
all volumes of a kind in one call, so 40 of them take little longer than one. What EC2 does not take now it is asked for
again: an attachment that hangs at once, a modification when a later run finds it noted on the volume.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import TypeVar

from ec2zfs.cloud.protocols import VolumeOrder, VolumesApi
from ec2zfs.errors import CloudError, ModificationTooSoon, NotInTime, Refused
from ec2zfs.execute.progress import Bar, Progress, Silent
from ec2zfs.model.instance import Instance, InstanceType
from ec2zfs.model.volume import AttachmentState, Schedule, Volume, VolumeState
from ec2zfs.plan.attachment import device_names
from ec2zfs.plan.volumes import (
    AttachVolume,
    CreateVolume,
    DeleteVolume,
    DetachVolume,
    ModifyVolume,
    RetireVolume,
    VolumeAction,
    broken,
    current,
    plan_attachment,
)

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Limits:
    """Seconds until EC2 should have come to an end with each of these.

    An attachment takes seconds or hangs; after `attach` it is taken back and asked for once more. `modify` lasts until
    the new size can be used, not until EC2 has optimized the volume (fact 4). `tag`: until describes show a new tag.
    """

    create: float = 300.0
    attach: float = 60.0
    detach: float = 300.0
    modify: float = 900.0
    tag: float = 60.0


class VolumeFleet:
    """All volumes of one pool. `workers` bounds the API calls under way at a time."""

    def __init__(
        self,
        volumes: VolumesApi,
        progress: Progress | None = None,
        workers: int = 10,
        limits: Limits = Limits(),
    ) -> None:
        self._volumes = volumes
        self._progress = progress or Silent()
        self._workers = workers
        self._limits = limits

    def volumes(self) -> list[Volume]:
        """The pool's volumes as EC2 tells them now, by place and generation."""
        return self._volumes.volumes()

    def carry_out(self, actions: Sequence[VolumeAction]) -> list[Volume]:
        """Do what a plan of plan/volumes.py says and wait for it; returns the pool's volumes after it.

        Creation waits until each volume is available, attachment until each is attached, detachment until each is free,
        modification until each has its new size or is noted to get it later (`Volume.schedule`). A failure is raised
        when the calls under way have ended; what was done stays, and a new plan carries on from it.
        """
        self._create([action for action in actions if isinstance(action, CreateVolume)])
        self._attach([action for action in actions if isinstance(action, AttachVolume)])
        self._detach([action for action in actions if isinstance(action, DetachVolume)])
        self._delete([action for action in actions if isinstance(action, DeleteVolume)])
        self._modify([action for action in actions if isinstance(action, ModifyVolume)])
        self._retire([action for action in actions if isinstance(action, RetireVolume)])
        return self.volumes()

    def attached(
        self,
        instance: Instance,
        instance_type: InstanceType,
        *,
        accept_degraded: bool = False,
        condemned: frozenset[str] = frozenset(),
    ) -> list[Volume]:
        """The pool's current volumes that are attached to the instance, after those were that can be.

        With them those are told that left the pool before their successors came, since `plan_unlocking` asks for them.
        `accept_degraded`: those that EC2 gave up are left out. `condemned`: ids of volumes that are to be replaced, and
        may hang in attaching. Raises `Refused` as `plan_attachment` does.
        """
        volumes = self.volumes()
        actions = plan_attachment(
            volumes, instance, instance_type, accept_degraded=accept_degraded, condemned=condemned
        )
        volumes = self.carry_out(actions) if actions else volumes
        lost = broken(volumes)
        here = [volume for volume in current(volumes) if volume.attached and volume not in lost]
        return [volume for volume in volumes if volume in here or volume.unproven]

    def _create(self, actions: Sequence[CreateVolume]) -> None:
        def create(action: CreateVolume) -> str:
            order = VolumeOrder(action.place, action.generation, action.size_gib, action.type, action.zone)
            return self._volumes.create(order).id

        ids = self._in_parallel("Creating volumes", actions, create)
        self._await(ids, _is_made, self._limits.create)

    def _attach(self, actions: Sequence[AttachVolume]) -> None:
        if not actions:
            return
        standing = {(volume.place, volume.generation): volume for volume in self.volumes()}
        chosen = [(action, _found(standing.get((action.place, action.generation)), action)) for action in actions]
        leaving = [volume.id for _, volume in chosen if _is_leaving(volume)]
        self._await(leaving, _is_free, self._limits.detach)
        hanging = self._hanging(chosen)
        if not hanging:
            return
        self._progress.say(
            f"{_named(hanging)} did not come to an end with attaching in {self._limits.attach:g} s: "
            "taken back by force, and tried once more."
        )
        self._take_back(hanging)
        taken = [action.device for action in actions]
        taken += [volume.attachment.device for volume in standing.values() if volume.attachment]
        again = [(action, volume) for action, volume in chosen if volume.id in {each.id for each in hanging}]
        self._require_attached(self._hanging(_under_other_names(again, taken)), again)

    def _hanging(self, chosen: Sequence[tuple[AttachVolume, Volume]]) -> list[Volume]:
        """Ask for these bonds and wait; those that still say `attaching` at the limit."""

        def attach(choice: tuple[AttachVolume, Volume]) -> str:
            action, volume = choice
            self._volumes.attach(volume, action.instance_id, action.device)
            return volume.id

        ids = self._in_parallel("Attaching volumes", chosen, attach)
        try:
            self._await(ids, lambda volume: volume.attached, self._limits.attach)
        except NotInTime:
            now = {volume.id: volume for volume in self.volumes()}
            if not all(each in now and (now[each].attached or _is_attaching(now[each])) for each in ids):
                raise
            return [now[each] for each in ids if _is_attaching(now[each])]
        return []

    def _take_back(self, volumes: Sequence[Volume]) -> None:
        """End bonds that never came about; nothing was written through them."""

        def take_back(volume: Volume) -> str:
            self._volumes.detach(volume, force=True)
            return volume.id

        self._await(self._in_parallel("Detaching volumes", volumes, take_back), _is_free, self._limits.detach)

    def _require_attached(self, still: Sequence[Volume], asked: Sequence[tuple[AttachVolume, Volume]]) -> None:
        """Raise `CloudError` for volumes that still hang, unless they can be done without."""
        needed = {volume.id for action, volume in asked if action.needed}
        hanging = [volume for volume in still if volume.id in needed]
        if spared := [volume for volume in still if volume.id not in needed]:
            self._progress.say(f"{_named(spared)} hangs in attaching again, and is done without: it is to be replaced.")
        if hanging:
            raise CloudError(
                f"{_named(hanging)} hangs in attaching, and did so again after it was taken back.",
                hint="Stop the receiver (`ec2zfs instance stop`) and run again, on another machine. If it still hangs, "
                f"replace it: `ec2zfs pool repair --replace {hanging[0].id}`.",
                action="ec2:AttachVolume",
            )

    def _detach(self, actions: Sequence[DetachVolume]) -> None:
        def detach(action: DetachVolume) -> str:
            # An attachment that never came about can be ended by force only; nothing was written through it.
            self._volumes.detach(action.volume, force=_is_attaching(action.volume))
            return action.volume.id

        ids = self._in_parallel("Detaching volumes", actions, detach)
        self._await(ids, _is_free, self._limits.detach, despite_error=True)

    def _modify(self, actions: Sequence[ModifyVolume]) -> None:
        def modify(action: ModifyVolume) -> tuple[ModifyVolume, Schedule | None]:
            try:
                self._volumes.modify(action.volume, action.size_gib, action.type)
            except ModificationTooSoon as refusal:
                return action, Schedule(action.size_gib, refusal.not_before)
            return action, None

        asked = self._in_parallel("Modifying volumes", actions, modify)
        self._note([(action.volume, schedule) for action, schedule in asked if schedule])
        wanted = {action.volume.id: action for action, schedule in asked if schedule is None}
        self._await(list(wanted), lambda volume: _is_modified(volume, wanted[volume.id]), self._limits.modify)
        self._note([(action.volume, None) for action in wanted.values() if action.volume.schedule])

    def _note(self, schedules: Sequence[tuple[Volume, Schedule | None]]) -> None:
        """Note on each volume when EC2 takes its modification, and say so; None takes the note away."""

        def note(each: tuple[Volume, Schedule | None]) -> str:
            self._volumes.schedule(*each)
            return each[0].id

        self._in_parallel("Noting modifications", schedules, note)
        later = [schedule.not_before for _, schedule in schedules if schedule]
        if later:
            first = min(later)
            self._progress.say(
                f"EC2 does not modify {_named([volume for volume, _ in schedules])} so soon again. "
                f"A daily run does it, or the same command again, from {first:%Y-%m-%d %H:%M} UTC on."
            )

    def _retire(self, actions: Sequence[RetireVolume]) -> None:
        def retire(action: RetireVolume) -> str:
            self._volumes.retire(action.volume, action.since)
            return action.volume.id

        proven = {action.volume.id: action.since is not None for action in actions}
        ids = self._in_parallel("Putting volumes aside", actions, retire)
        self._await(ids, lambda volume: _is_kept(volume, proven[volume.id]), self._limits.tag, despite_error=True)

    def _delete(self, actions: Sequence[DeleteVolume]) -> None:
        def delete(action: DeleteVolume) -> str:
            self._volumes.delete(action.volume)
            return action.volume.id

        self._in_parallel("Deleting volumes", actions, delete)

    def _await(
        self, ids: Sequence[str], done: Callable[[Volume], bool], seconds: float, *, despite_error: bool = False
    ) -> None:
        if ids:
            self._volumes.awaited(ids, done, seconds, despite_error=despite_error)

    def _in_parallel(self, label: str, actions: Sequence[T], act: Callable[[T], R]) -> list[R]:
        """What each call gave, in the order of the actions. After a failure no further call begins."""
        if not actions:
            return []
        with (
            self._progress.bar(label, len(actions), "volumes") as bar,
            ThreadPoolExecutor(self._workers, thread_name_prefix="ec2zfs-volumes") as pool,
        ):
            calls = [pool.submit(_counted, bar, act, action) for action in actions]
            try:
                wait(calls, return_when=FIRST_EXCEPTION)
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
        failures = [failure for call in calls if not call.cancelled() and (failure := call.exception())]
        if failures:
            raise failures[0]
        return [call.result() for call in calls]


def _counted(bar: Bar, act: Callable[[T], R], action: T) -> R:
    given = act(action)
    bar.advance(1)
    return given


def _under_other_names(
    chosen: Sequence[tuple[AttachVolume, Volume]], taken: Sequence[str]
) -> list[tuple[AttachVolume, Volume]]:
    """The same under device names that were not tried: one that a machine has in use makes an attachment hang."""
    names = device_names(taken)
    return [(replace(action, device=next(names, action.device)), volume) for action, volume in chosen]


def _found(volume: Volume | None, action: AttachVolume) -> Volume:
    if volume is None:
        raise Refused(f"There is no volume at {action.place} to attach.", hint="Create it (`ec2zfs volumes create`).")
    return volume


def _is_made(volume: Volume) -> bool:
    return volume.state in (VolumeState.AVAILABLE, VolumeState.IN_USE)


def _is_free(volume: Volume) -> bool:
    return volume.state in (VolumeState.AVAILABLE, VolumeState.ERROR) and volume.attachment is None


def _is_leaving(volume: Volume) -> bool:
    leaving = (AttachmentState.DETACHING, AttachmentState.DETACHED)
    return volume.state is VolumeState.CREATING or (
        volume.attachment is not None and volume.attachment.state in leaving
    )


def _is_attaching(volume: Volume) -> bool:
    return volume.attachment is not None and volume.attachment.state is AttachmentState.ATTACHING


def _is_modified(volume: Volume, wanted: ModifyVolume) -> bool:
    return (volume.size_gib, volume.type) == (wanted.size_gib, wanted.type)


def _is_kept(volume: Volume, proven: bool) -> bool:
    return volume.retirement is not None and (volume.retirement.since is not None) is proven


def _named(volumes: Sequence[Volume]) -> str:
    return ", ".join(f"{volume.place} ({volume.id})" for volume in volumes)
