"""The life of an instance: pending, running, stopping, stopped, shutting-down, terminated, as its machine really is.

The only place that changes an instance's state. It orders the machine room, and never trusts that an order was fast.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from moto.ec2.exceptions import InvalidInstanceIdError
from moto.ec2.models.instances import Instance, InstanceState, StateReason

from ec2zfs.lab.api.facts import instance_facts
from ec2zfs.lab.api.local import LocalEc2
from ec2zfs.lab.api.room import Order

log = logging.getLogger(__name__)

CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}


@dataclass(frozen=True)
class Reason:
    """Why an instance ended, in EC2's `StateReason` codes."""

    code: str
    message: str


USER = Reason("Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown")
GUEST = Reason("Client.InstanceInitiatedShutdown", "Client.InstanceInitiatedShutdown: Instance initiated shutdown")
HOST = Reason("Server.InternalError", "Server.InternalError: Internal error on launch or in the host")
INTERRUPTION = Reason("Server.SpotInstanceTermination", "Server.SpotInstanceTermination: Spot instance termination")


class Lifecycle:
    """Starts and ends instances. Callers hold the local EC2's lock."""

    def __init__(self, local: LocalEc2) -> None:
        self._local = local
        self._dying: set[str] = set()
        local.room.watch(self._ended)

    def start(self, instance: Instance, *, fresh: bool) -> None:
        """Begin to start an instance: `fresh` when it is new."""
        set_state(instance, "pending")
        instance.state_reason = StateReason()
        self._local.marks.interruption.pop(instance.id, None)
        self._local.marks.rebalance.pop(instance.id, None)
        seconds = self._local.settings.times.instance_start
        self._local.transitions.after(seconds, instance.id, partial(self._start, instance, fresh))

    def stop(self, instance: Instance, reason: Reason = USER) -> None:
        """Begin to stop an instance."""
        set_state(instance, "stopping")
        note(instance, reason)
        seconds = self._local.settings.times.instance_stop
        self._local.transitions.after(seconds, instance.id, partial(self._stop, instance, reason))

    def terminate(self, instance: Instance, reason: Reason = USER) -> None:
        """Begin to terminate an instance; one that is on its way out stays so."""
        if instance.state in ("shutting-down", "terminated"):
            return
        set_state(instance, "shutting-down")
        note(instance, reason)
        seconds = self._local.settings.times.instance_terminate
        self._local.transitions.after(seconds, instance.id, partial(self._terminate, instance, reason))

    def kill(self, instance_id: str) -> None:
        """Let the machine die; EC2 hears of it as of a failed host."""
        self._dying.add(instance_id)
        self._local.room.kill(instance_id)

    def interrupt(self, instance: Instance, notice: float) -> None:
        """Take a spot instance back after `notice` seconds, announced in its metadata (fact 16)."""
        take = datetime.now(UTC).timestamp() + notice
        action = "stop" if self._local.can_stop(instance) else "terminate"
        self._local.marks.interruption[instance.id] = {"action": action, "time": instant(take)}
        work = partial(self._take_back, instance)
        self._local.transitions.after(notice, f"{instance.id} interruption", work)

    def _start(self, instance: Instance, fresh: bool) -> None:
        try:
            self._local.room.start(
                Order(instance.id, instance.public_ip or "", partial(instance_facts, self._local, instance.id)),
                fresh=fresh,
            )
        except Exception:
            log.exception("The machine of %s did not start", instance.id)
            with self._local.lock:
                self.terminate(instance, HOST)
            return
        with self._local.lock:
            if instance.state == "pending":
                set_state(instance, "running")

    def _stop(self, instance: Instance, reason: Reason) -> None:
        self._local.room.stop(instance.id)
        with self._local.lock:
            if instance.state == "stopping":
                instance.stop()
                note(instance, reason)

    def _terminate(self, instance: Instance, reason: Reason) -> None:
        self._local.room.discard(instance.id)
        with self._local.lock:
            held = [mapping.volume_id for _, mapping in instance.get_block_device_mapping]
            instance.terminate()
            note(instance, reason)
            gone = [volume_id for volume_id in held if volume_id not in self._local.backend.volumes]
        for volume_id in gone:
            self._local.room.delete_volume(volume_id)

    def _ended(self, instance_id: str) -> None:
        with self._local.lock:
            try:
                instance = self._local.instance(instance_id)
            except InvalidInstanceIdError:
                return  # the site's machine is no instance
            reason = HOST if instance_id in self._dying else GUEST
            self._dying.discard(instance_id)
            if instance.state not in ("pending", "running"):
                return
            if self._local.can_stop(instance) and instance.instance_initiated_shutdown_behavior == "stop":
                self.stop(instance, reason)
            else:
                self.terminate(instance, reason)

    def _take_back(self, instance: Instance) -> None:
        with self._local.lock:
            if instance.state not in ("pending", "running"):
                return
            if self._local.can_stop(instance):
                self.stop(instance, INTERRUPTION)
            else:
                self.terminate(instance, INTERRUPTION)


def set_state(instance: Instance, name: str) -> None:
    """Write an instance's state."""
    instance._state = InstanceState(name, CODES[name])  # noqa: SLF001


def note(instance: Instance, reason: Reason) -> None:
    """Write down why an instance ended."""
    instance.state_reason = StateReason(reason.message, reason.code)


def can_stop(instance: Instance) -> bool:
    """Whether an instance can be stopped at all: a one-time spot instance cannot (fact 15)."""
    return not (instance.lifecycle == "spot" and getattr(instance, "spot_kind", "one-time") == "one-time")


def instant(seconds: float) -> str:
    """A time as the instance metadata writes it: `2026-11-23T02:17:00Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
