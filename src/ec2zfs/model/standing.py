"""All that one look at the pool shows, at EC2 and on the receiver, put together by place. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from itertools import groupby

from ec2zfs.model.contents import ReceiverView
from ec2zfs.model.layout import Place
from ec2zfs.model.pool import DeviceState, Member, PoolDesign, PoolStatus, Vdev
from ec2zfs.model.volume import AttachmentState, Volume, VolumeState


@dataclass(frozen=True)
class Standing:
    """The pool of a design as it stands now.

    `instance` is the receiver's id. `spare_attachments`: how many volumes may hang on it beyond one for each place.
    """

    design: PoolDesign
    volumes: tuple[Volume, ...]
    view: ReceiverView
    instance: str
    spare_attachments: int
    now: datetime

    @property
    def pool(self) -> PoolStatus:
        """The imported pool; the look that made this saw one."""
        if self.view.imported is None:
            raise ValueError(f"pool {self.design.name} is not imported")
        return self.view.imported

    @property
    def current(self) -> tuple[Volume, ...]:
        """The volumes that belong to the pool, or are on their way into it."""
        return tuple(volume for volume in self.volumes if volume.retirement is None)

    def at(self, place: Place) -> tuple[Volume, ...]:
        """The current volumes of a place, the oldest generation first."""
        return self._currents.get(place, ())

    @cached_property
    def _currents(self) -> dict[Place, tuple[Volume, ...]]:
        ordered = sorted(self.current, key=lambda volume: (volume.place, volume.generation))
        return {place: tuple(found) for place, found in groupby(ordered, key=lambda volume: volume.place)}

    @cached_property
    def _volumes(self) -> dict[Member, Volume]:
        """The volume behind each member: of its mapping's name, or else of its serial.

        Found once, and each volume's names made once, since this is asked for again and again.
        """
        named = {volume.mapping: volume for volume in self.volumes}
        serials = [(volume.serial, volume) for volume in self.volumes]
        found = {member: named.get(member.name) or _of_serial(serials, _disk(member)) for member in self.pool.members}
        return {member: volume for member, volume in found.items() if volume}

    @cached_property
    def _members(self) -> dict[str, Member]:
        return {volume.id: member for member, volume in self._volumes.items()}

    @cached_property
    def _places(self) -> dict[Member, Place | None]:
        return {member: self._told_place(member) or self._place_left(member) for member in self.pool.members}

    @cached_property
    def _standing_at(self) -> dict[Place, tuple[Member, ...]]:
        found: dict[Place, tuple[Member, ...]] = {}
        for member, place in self._places.items():
            if place:
                found[place] = (*found.get(place, ()), member)
        return found

    def seeing(self, view: ReceiverView) -> Standing:
        """The same with another view of the receiver."""
        return replace(self, view=view)

    def next_generation(self, place: Place) -> int:
        """The number of the next volume of a place: one more than any that is known, retired ones too."""
        return 1 + max((volume.generation for volume in self.volumes if volume.place == place), default=0)

    def member(self, volume: Volume) -> Member | None:
        """The pool's member that is this volume."""
        return self._members.get(volume.id)

    def members(self, place: Place) -> tuple[Member, ...]:
        """The members at a place: one; two while one replaces the other; none in a pool that is smaller."""
        return self._standing_at.get(place, ())

    def place_of(self, member: Member) -> Place | None:
        """Where a member stands; None for one that is none of ours.

        Without encryption the name of one whose volume is gone says nothing: then it stands where what replaces it
        does, or else where no other does.
        """
        return self._places.get(member)

    def generation_of(self, member: Member) -> int:
        """The generation of a member's volume; 0 where nobody knows."""
        volume = self.volume_of(member)
        return volume.generation if volume else member.generation or 0

    def _told_place(self, member: Member) -> Place | None:
        volume = self._volumes.get(member)
        return member.place or (volume.place if volume else None)

    def _place_left(self, member: Member) -> Place | None:
        number, vdev = next((number, vdev) for number, vdev in self.vdevs() if member in vdev.members)
        if member.replacing:
            # The halves of a replacement stand side by side, the old one first.
            index = vdev.members.index(member) + 1
            return self._told_place(vdev.members[index]) if index < len(vdev.members) else None
        told = {place for each in vdev.members if (place := self._told_place(each))}
        left = [place for place in self.design.layout.places() if place.vdev == number and place not in told]
        unknown = [each for each in vdev.members if not each.replacing and self._told_place(each) is None]
        # Which of several stands where makes no difference: nobody knows, and each place is given one volume.
        return dict(zip(unknown, left, strict=False)).get(member) if len(unknown) == len(left) else None

    def volume_of(self, member: Member) -> Volume | None:
        """The volume behind a member, retired ones too; None when EC2 has it no more."""
        return self._volumes.get(member)

    def vdevs(self) -> Iterator[tuple[int, Vdev]]:
        """The pool's vdevs by their numbers, from 1."""
        yield from enumerate(self.pool.vdevs, 1)

    def places(self, vdev: Vdev) -> tuple[Place, ...]:
        """The places of a vdev's members, in order."""
        found = (self.place_of(member) for member in vdev.members)
        return tuple(dict.fromkeys(place for place in found if place))

    def attached(self, volume: Volume) -> bool:
        """Whether the volume hangs on the receiver for good."""
        bond = volume.attachment
        return bond is not None and bond.instance_id == self.instance and bond.state is AttachmentState.ATTACHED


def _of_serial(serials: Iterable[tuple[str, Volume]], disk: str) -> Volume | None:
    """The volume that is a member without encryption: the disk's name ends with the volume's serial."""
    return next((volume for serial, volume in serials if disk.endswith(serial)), None)


def _disk(member: Member) -> str:
    """The name without the partition: ZFS puts a whole disk's data into its first one."""
    return member.name.removesuffix("-part1")


@dataclass(frozen=True)
class Picture:
    """What must be the same whether it was foreseen or seen: no ids, no bytes that nobody can know before.

    `volumes`: place, generation, GiB and type of each current volume; `members`: vdev kind, and place, generation and
    state of each member; `retired`: place and generation of what is only kept; `mappings`: what is open.
    """

    volumes: frozenset[tuple[str, int, int, str]]
    members: tuple[tuple[str, tuple[tuple[str, int, DeviceState], ...]], ...]
    retired: frozenset[tuple[str, int]]
    mappings: frozenset[str] = field(default=frozenset())


def picture(standing: Standing) -> Picture:
    """The picture of what stands."""
    living = [volume for volume in standing.current if volume.state not in (VolumeState.DELETING, VolumeState.DELETED)]
    return Picture(
        volumes=frozenset((str(each.place), each.generation, each.size_gib, each.type) for each in living),
        members=tuple((vdev.kind, _members(standing, vdev)) for vdev in standing.pool.vdevs),
        retired=frozenset((str(each.place), each.generation) for each in standing.volumes if each.retirement),
        mappings=frozenset(standing.view.mappings),
    )


def _members(standing: Standing, vdev: Vdev) -> tuple[tuple[str, int, DeviceState], ...]:
    return tuple(
        sorted((str(standing.place_of(each)), standing.generation_of(each), each.state) for each in vdev.members)
    )
