"""The volumes of the pool at EC2: created, attached, detached and deleted, in parallel, as a plan says.

Decides nothing but the order: kind by kind, and within a kind as many at a time as `workers` allows. Each wait asks for
all volumes of a kind in one call, so 40 of them take little longer than one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

from ec2zfs.cloud.protocols import VolumeOrder, VolumesApi
from ec2zfs.errors import Refused
from ec2zfs.execute.progress import Bar, Progress, Silent
from ec2zfs.model.instance import Instance, InstanceType
from ec2zfs.model.volume import AttachmentState, Volume, VolumeState
from ec2zfs.plan.volumes import (
    AttachVolume,
    CreateVolume,
    DeleteVolume,
    DetachVolume,
    VolumeAction,
    plan_attachment,
)

A = TypeVar("A", bound=VolumeAction)

CREATE_SECONDS = 300.0
ATTACH_SECONDS = 180.0
DETACH_SECONDS = 300.0


class VolumeFleet:
    """All volumes of one pool. `workers` bounds the API calls under way at a time."""

    def __init__(self, volumes: VolumesApi, progress: Progress | None = None, workers: int = 10) -> None:
        self._volumes = volumes
        self._progress = progress or Silent()
        self._workers = workers

    def volumes(self) -> list[Volume]:
        """The pool's volumes as EC2 tells them now, by place and generation."""
        return self._volumes.volumes()

    def carry_out(self, actions: Sequence[VolumeAction]) -> list[Volume]:
        """Do what a plan of plan/volumes.py says and wait for it; returns the pool's volumes after it.

        Creation waits until each volume is available, attachment until each is attached, detachment until each is free.
        A failure is raised when the calls under way have ended; what was done stays, and a new plan carries on from it.
        """
        self._create([action for action in actions if isinstance(action, CreateVolume)])
        self._attach([action for action in actions if isinstance(action, AttachVolume)])
        self._detach([action for action in actions if isinstance(action, DetachVolume)])
        self._delete([action for action in actions if isinstance(action, DeleteVolume)])
        return self.volumes()

    def attached(self, instance: Instance, instance_type: InstanceType) -> list[Volume]:
        """The pool's volumes, every one attached to the instance. Raises `Refused` as `plan_attachment` does."""
        volumes = self.volumes()
        actions = plan_attachment(volumes, instance, instance_type)
        return self.carry_out(actions) if actions else volumes

    def _create(self, actions: Sequence[CreateVolume]) -> None:
        def create(action: CreateVolume) -> str:
            order = VolumeOrder(action.place, action.generation, action.size_gib, action.type, action.zone)
            return self._volumes.create(order).id

        ids = self._in_parallel("Creating volumes", actions, create)
        self._await(ids, _is_made, CREATE_SECONDS)

    def _attach(self, actions: Sequence[AttachVolume]) -> None:
        if not actions:
            return
        standing = {(volume.place, volume.generation): volume for volume in self.volumes()}
        chosen = [(action, _found(standing.get((action.place, action.generation)), action)) for action in actions]
        leaving = [volume.id for _, volume in chosen if _is_leaving(volume)]
        self._await(leaving, _is_free, DETACH_SECONDS)
        by_action = dict(chosen)

        def attach(action: AttachVolume) -> str:
            volume = by_action[action]
            self._volumes.attach(volume, action.instance_id, action.device)
            return volume.id

        ids = self._in_parallel("Attaching volumes", actions, attach)
        self._await(ids, _is_attached, ATTACH_SECONDS)

    def _detach(self, actions: Sequence[DetachVolume]) -> None:
        def detach(action: DetachVolume) -> str:
            self._volumes.detach(action.volume)
            return action.volume.id

        ids = self._in_parallel("Detaching volumes", actions, detach)
        self._await(ids, _is_free, DETACH_SECONDS)

    def _delete(self, actions: Sequence[DeleteVolume]) -> None:
        def delete(action: DeleteVolume) -> str:
            self._volumes.delete(action.volume)
            return action.volume.id

        self._in_parallel("Deleting volumes", actions, delete)

    def _await(self, ids: Sequence[str], done: Callable[[Volume], bool], seconds: float) -> None:
        if ids:
            self._volumes.awaited(ids, done, seconds)

    def _in_parallel(self, label: str, actions: Sequence[A], act: Callable[[A], str]) -> list[str]:
        """The ids of the volumes, in the order of the actions. After a failure no further call begins."""
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


def _counted(bar: Bar, act: Callable[[A], str], action: A) -> str:
    volume_id = act(action)
    bar.advance(1)
    return volume_id


def _found(volume: Volume | None, action: AttachVolume) -> Volume:
    if volume is None:
        raise Refused(f"There is no volume at {action.place} to attach.", hint="Create it (`ec2zfs volumes create`).")
    return volume


def _is_made(volume: Volume) -> bool:
    return volume.state in (VolumeState.AVAILABLE, VolumeState.IN_USE)


def _is_free(volume: Volume) -> bool:
    return volume.state is VolumeState.AVAILABLE and volume.attachment is None


def _is_leaving(volume: Volume) -> bool:
    leaving = (AttachmentState.DETACHING, AttachmentState.DETACHED)
    return volume.state is VolumeState.CREATING or (
        volume.attachment is not None and volume.attachment.state in leaving
    )


def _is_attached(volume: Volume) -> bool:
    return volume.attachment is not None and volume.attachment.state is AttachmentState.ATTACHED
