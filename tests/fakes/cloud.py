"""EC2's volumes in memory: a `VolumesApi` that behaves as `Volumes` does, without clock, threads or chance.

Time is the number of looks: each `volumes()` (and each look of `awaited`) lets every pending state take one step.
Faults come from outside: `Fuse` (tests/fakes/fuse.py) wraps it, and `break_volume`, `hang_attach`, `put_off` and
`release` change the world.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ec2zfs.cloud.protocols import VolumeOrder
from ec2zfs.errors import CloudError, ModificationTooSoon, NotInTime, Refused
from ec2zfs.model.volume import Attachment, AttachmentState, Retirement, Schedule, Volume, VolumeState

A_MOMENT_LATER = datetime(2026, 11, 23, tzinfo=UTC)
"""When a volume can be modified again that is just being modified: as this world has no clock, at the next look."""


@dataclass
class _Stored:
    """`target`: the size and type on the way. `hangs`: how many more attachments do not come about."""

    volume: Volume
    order: VolumeOrder
    unseen: int
    target: tuple[int, str] | None = None
    put_off: datetime | None = None
    hangs: int = 0

    def step(self) -> None:
        """Let one moment pass."""
        if self.target:
            size, kind = self.target
            self.volume, self.target = replace(self.volume, size_gib=size, type=kind), None
        bond = self.volume.attachment
        if not (bond and bond.state is AttachmentState.ATTACHING and self.hangs):
            self.volume = _stepped(self.volume)


class FakeVolumes:
    """The volumes of one pool in one region.

    `instances` are the zones of the instances by id; `unseen_looks` is the number of looks for which a new volume is
    not listed yet (eventual consistency, fact 14); `limit` is the number of volumes that one instance takes.
    """

    def __init__(
        self, pool: str, instances: dict[str, str] | None = None, *, unseen_looks: int = 0, limit: int = 1000
    ) -> None:
        self.pool = pool
        self.instances = dict(instances or {})
        self._unseen_looks = unseen_looks
        self.limit = limit
        self._all: dict[str, _Stored] = {}
        self._made = 0
        self._one_at_a_time = threading.RLock()

    def __getstate__(self) -> dict[str, object]:
        """A copy has a lock of its own."""
        return {name: value for name, value in vars(self).items() if name != "_one_at_a_time"}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state, _one_at_a_time=threading.RLock())

    @property
    def paid(self) -> list[Volume]:
        """Every volume that exists, listed yet or not, without letting time pass. What the operator pays for."""
        return sorted((stored.volume for stored in self._all.values()), key=_order)

    def of_serial(self, serial: str) -> Volume | None:
        """The volume that a machine sees under this number (fact 8), without letting time pass."""
        stored = self._all.get(serial.replace("vol", "vol-", 1))
        return stored.volume if stored else None

    @property
    def made(self) -> int:
        """Volumes that were ever made, deleted ones too."""
        return self._made

    def break_volume(self, volume_id: str) -> None:
        """Put a volume in `error`."""
        self._set(replace(self._all[volume_id].volume, state=VolumeState.ERROR))

    def hang_attach(self, volume_id: str, times: int = 1) -> None:
        """Let the next attachments of a volume stay `attaching` until they are taken back."""
        self._all[volume_id].hangs = times

    def put_off(self, volume_id: str, until: datetime | None) -> None:
        """Let EC2 refuse to modify a volume before a time; None: let it take it again."""
        self._all[volume_id].put_off = until

    def release(self, instance_id: str) -> None:
        """The instance is terminated: its volumes are free (they stay, fact 9)."""
        self.instances.pop(instance_id, None)
        for stored in self._all.values():
            bond = stored.volume.attachment
            if bond and bond.instance_id == instance_id:
                stored.volume = _freed(stored.volume)

    def volumes(self) -> list[Volume]:
        """As `VolumesApi.volumes`."""
        with self._one_at_a_time:
            for stored in self._all.values():
                stored.unseen = max(stored.unseen - 1, -1)
            listed = sorted((stored.volume for stored in self._all.values() if stored.unseen < 0), key=_order)
            for stored in self._all.values():
                stored.step()
            return listed

    def create(self, order: VolumeOrder) -> Volume:
        """As `VolumesApi.create`: the token of an order outlives the listing, so there is never a second one."""
        with self._one_at_a_time:
            for stored in self._all.values():
                volume = stored.volume
                if (volume.place, volume.generation) == (order.place, order.generation):
                    return _same(stored, order)
            self._made += 1
            volume = Volume(
                id=f"vol-{self._made:017x}",
                pool=self.pool,
                place=order.place,
                generation=order.generation,
                size_gib=order.size_gib,
                type=order.type,
                zone=order.zone,
                state=VolumeState.CREATING,
            )
            self._all[volume.id] = _Stored(volume, order, self._unseen_looks)
            return volume

    def attach(self, volume: Volume, instance_id: str, device: str) -> None:
        """As `VolumesApi.attach`, with EC2's refusals."""
        with self._one_at_a_time:
            now = self._known(volume)
            if now.attachment:
                if now.attachment.instance_id != instance_id:
                    raise Refused(f"Volume {now.id} ({now.place}) is attached to {now.attachment.instance_id}.")
                return
            if now.state is not VolumeState.AVAILABLE:
                raise CloudError(f"{now.id} is {now.state}", code="IncorrectState", action="ec2:AttachVolume")
            self._require_room(now, instance_id, device)
            bond = Attachment(instance_id, device, AttachmentState.ATTACHING)
            self._set(replace(now, state=VolumeState.IN_USE, attachment=bond))

    def detach(self, volume: Volume, *, force: bool = False) -> None:
        """As `VolumesApi.detach`."""
        with self._one_at_a_time:
            now = self._known(volume)
            if now.attachment:
                if now.attachment.state is AttachmentState.ATTACHING:
                    stored = self._all[volume.id]
                    stored.hangs = max(0, stored.hangs - 1)
                self._set(replace(now, attachment=replace(now.attachment, state=AttachmentState.DETACHING)))

    def delete(self, volume: Volume) -> None:
        """As `VolumesApi.delete`."""
        with self._one_at_a_time:
            if volume.id not in self._all:
                return
            if self._known(volume).attachment:
                raise Refused(f"Volume {volume.id} ({volume.place}) is attached and was not deleted.")
            del self._all[volume.id]

    def modify(self, volume: Volume, size_gib: int, volume_type: str) -> None:
        """As `VolumesApi.modify`; the new size shows at the second look from then on."""
        with self._one_at_a_time:
            now, stored = self._known(volume), self._all[volume.id]
            if size_gib < now.size_gib:
                raise Refused(f"Volume {now.id} ({now.place}) cannot shrink to {size_gib}.")
            if (size_gib, volume_type) in ((now.size_gib, now.type), stored.target):
                return
            not_before = A_MOMENT_LATER if stored.target else stored.put_off
            if not_before:
                raise ModificationTooSoon(f"{now.id} was modified of late", not_before=not_before)
            stored.target = (size_gib, volume_type)

    def retire(self, volume: Volume, since: datetime | None) -> None:
        """As `VolumesApi.retire`."""
        with self._one_at_a_time:
            self._set(replace(self._known(volume), retirement=Retirement(since)))

    def schedule(self, volume: Volume, schedule: Schedule | None) -> None:
        """As `VolumesApi.schedule`."""
        with self._one_at_a_time:
            self._set(replace(self._known(volume), schedule=schedule))

    def awaited(
        self,
        ids: Collection[str],
        done: Callable[[Volume], bool],
        limit_seconds: float,
        *,
        despite_error: bool = False,
    ) -> list[Volume]:
        """As `VolumesApi.awaited`; a look takes a second of the limit."""
        for _ in range(int(limit_seconds) + 1):
            seen = {volume.id: volume for volume in self.volumes()}
            broken = [each for each in ids if each in seen and seen[each].state is VolumeState.ERROR]
            if broken and not despite_error:
                raise CloudError(f"Volumes in state error: {', '.join(broken)}.", action="ec2:DescribeVolumes")
            if all(each in seen and done(seen[each]) for each in ids):
                return [seen[each] for each in ids]
        raise NotInTime(f"After {limit_seconds:g} s EC2 is not done.", action="ec2:DescribeVolumes")

    def _set(self, volume: Volume) -> None:
        self._all[volume.id].volume = volume

    def _known(self, volume: Volume) -> Volume:
        if volume.id not in self._all:
            raise CloudError(f"The volume {volume.id} does not exist.", code="InvalidVolume.NotFound")
        return self._all[volume.id].volume

    def _require_room(self, volume: Volume, instance_id: str, device: str) -> None:
        bonds = [stored.volume.attachment for stored in self._all.values()]
        devices = [bond.device for bond in bonds if bond and bond.instance_id == instance_id]
        for wrong, code in (
            (instance_id not in self.instances, "InvalidInstanceID.NotFound"),
            (self.instances.get(instance_id, volume.zone) != volume.zone, "InvalidVolume.ZoneMismatch"),
            (device in devices, "InvalidParameterValue"),
            (len(devices) >= self.limit, "AttachmentLimitExceeded"),
        ):
            if wrong:
                raise CloudError(f"{volume.id} to {instance_id} as {device}: {code}", code=code)


def _order(volume: Volume) -> tuple[object, ...]:
    return (volume.place, volume.generation, volume.id)


def _same(stored: _Stored, order: VolumeOrder) -> Volume:
    volume = stored.volume
    stands = (volume.size_gib, volume.type, volume.zone) == (order.size_gib, order.type, order.zone)
    if order != stored.order and not stands:
        raise Refused(f"{order.place} was ordered with other values, but {volume.id} stands there.")
    return volume


def _freed(volume: Volume) -> Volume:
    state = VolumeState.ERROR if volume.state is VolumeState.ERROR else VolumeState.AVAILABLE
    return replace(volume, state=state, attachment=None)


def _stepped(volume: Volume) -> Volume:
    """The volume one moment later."""
    bond = volume.attachment
    if volume.state is VolumeState.CREATING:
        return replace(volume, state=VolumeState.AVAILABLE)
    if bond and bond.state is AttachmentState.ATTACHING:
        return replace(volume, attachment=replace(bond, state=AttachmentState.ATTACHED))
    if bond and bond.state is AttachmentState.DETACHING:
        return _freed(volume)
    return volume
