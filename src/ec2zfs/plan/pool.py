"""From what the volumes hold to the pool that was asked for: which to format, open, import or create. Pure.

The one rule that matters: nothing is formatted that may hold data. A volume is formatted only when it bears our tags
and nothing is seen where LUKS, a pool or a file system begins and ends; a LUKS2 header without any key slot there is
one that was begun and cut off. What is inside the opened mappings is ZFS's to judge: `zpool import` finds a pool, and
`zpool create` without -f refuses one.

A plan reaches as far as can be seen: what is inside a mapping is seen once it is open, so the executor looks again and
plans again until nothing is left to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ec2zfs.errors import Refused
from ec2zfs.model.contents import ImportablePool, ReceiverView, SeenVolume
from ec2zfs.model.layout import Place
from ec2zfs.model.pool import PoolDesign, PoolStatus, vdev_kinds
from ec2zfs.model.volume import Volume, VolumeState


class Holding(StrEnum):
    """What stands on a volume, as far as it concerns us."""

    BLANK = "blank"
    BEGUN = "a LUKS2 header without any key slot, from a format that was cut off"
    OURS = "our LUKS2 header"
    MEMBER = "a member of a pool"
    FOREIGN = "foreign data"


@dataclass(frozen=True)
class ProveKey:
    """Prove that the pool key opens a volume that is formatted already, before anything else is done.

    `if_ours`: a volume without a sound LUKS2 header of ours is passed over.
    """

    volume: Volume
    if_ours: bool = False

    def __str__(self) -> str:
        return f"test the pool key on {self.volume.mapping} ({self.volume.id}){_condition(self.if_ours)}"


@dataclass(frozen=True)
class FormatVolume:
    """Put a LUKS2 header on a volume on which nothing stands; the reason says how that was seen."""

    volume: Volume
    holding: Holding

    def __str__(self) -> str:
        return f"format {self.volume.mapping} ({self.volume.id}) with LUKS2: it holds {_words(self.holding)}"


@dataclass(frozen=True)
class OpenVolume:
    """Open a volume's LUKS2 layer as a mapping.

    `if_ours`: a volume without a sound LUKS2 header of ours is passed over, since it is new yet, or dead. `if_fits`: so
    is one that the key does not open, since it is on its way into the pool, and was formatted under another.
    """

    volume: Volume
    if_ours: bool = False
    if_fits: bool = False

    def __str__(self) -> str:
        fits = " and the key fits" if self.if_fits else ""
        return f"open {self.volume.mapping} ({self.volume.id}){_condition(self.if_ours)}{fits}"


@dataclass(frozen=True)
class CreatePool:
    """Make the pool. `vdevs` are the paths of the members, vdev by vdev and slot by slot."""

    design: PoolDesign
    vdevs: tuple[tuple[str, ...], ...]

    def __str__(self) -> str:
        return f"create pool {self.design.name}: {self.design.layout}"


@dataclass(frozen=True)
class ImportPool:
    """Import the pool that is on the volumes already: the one of this GUID, or when it was not seen yet, of this name.

    Only the pool's own volumes are searched, so a pool of the same name elsewhere is never met. `degraded`: it may lack
    members that ZFS knows; else it is imported with all of them, or not at all.
    """

    name: str
    guid: int | None = None
    degraded: bool = False

    def __str__(self) -> str:
        return f"import pool {self.name}" + (f" (GUID {self.guid})" if self.guid else "")


PoolAction = ProveKey | FormatVolume | OpenVolume | CreatePool | ImportPool
Preparation = ProveKey | FormatVolume | OpenVolume


def plan_pool(design: PoolDesign, volumes: Sequence[Volume], view: ReceiverView) -> tuple[PoolAction, ...]:
    """The next actions towards the pool; none when it is imported as it was asked for.

    Raises `Refused` when a volume is missing or holds something that is not ours, and when another pool stands in the
    way: one of the same name with other members, or another one on these volumes.
    """
    standing = volumes_by_place(design, volumes)
    seen = {volume: _present(view, volume) for volume in standing.values()}
    if view.imported is not None:
        _require_same_pool(design, standing, view)
        return ()
    if design.encrypted:
        preparation = _preparation(seen, view)
        if preparation:
            return preparation
    else:
        _require_none_foreign({volume: holding(volume, found, encrypted=False) for volume, found in seen.items()})
    return (_completion(design, standing, view),)


def plan_unlocking(
    design: PoolDesign, volumes: Sequence[Volume], *, accept_degraded: bool
) -> tuple[ProveKey | OpenVolume | ImportPool, ...]:
    """What opens the pool: all volumes that bear our header, once the key was tested on each.

    Nothing is looked at: what is open or imported already stays so when this is carried out. What a volume is to the
    pool cannot be told from outside: it may be new yet, or be left over. So ZFS, which knows its members, says whether
    it has all of them; with `accept_degraded` it need not. `volumes` may hold some that are no use any more (`usable`
    are opened). Raises `Refused` when there is none.
    """
    standing = sorted(usable(volumes), key=lambda volume: (volume.place, volume.generation))
    if not standing:
        raise Refused(
            f"No volume of pool {design.name} is attached to the receiver.",
            hint="Create the pool first (`ec2zfs pool create`).",
        )
    importing = ImportPool(design.name, degraded=accept_degraded)
    if not design.encrypted:
        return (importing,)
    coming = _on_their_way(volumes)
    tests = (ProveKey(volume, if_ours=True) for volume in standing if volume not in coming)
    openings = (OpenVolume(volume, if_ours=True, if_fits=volume in coming) for volume in standing)
    return (*tests, *openings, importing)


def usable(volumes: Sequence[Volume]) -> list[Volume]:
    """The volumes that may be opened: none that has left the pool, and none that EC2 gave up."""
    return [each for each in volumes if each.retirement is None and each.state is not VolumeState.ERROR]


def _on_their_way(volumes: Sequence[Volume]) -> set[Volume]:
    """The usable volumes that may not be in the pool yet: an older one of their place is usable too, or left before
    they came."""
    standing = usable(volumes)
    before = [*standing, *(volume for volume in volumes if volume.unproven)]
    return {
        volume
        for volume in standing
        if any(each.place == volume.place and each.generation < volume.generation for each in before)
    }


def holding(volume: Volume, seen: SeenVolume, *, encrypted: bool) -> Holding:
    """What a volume holds. Whatever is not plainly blank, begun or ours is foreign."""
    kinds = set(seen.signatures)
    if not encrypted:
        if not kinds:
            return Holding.BLANK if seen.untouched else Holding.FOREIGN
        return Holding.MEMBER if kinds <= {"zfs_member", "gpt", "PMBR"} else Holding.FOREIGN
    if seen.keyslots and seen.label == volume.mapping and kinds == {"crypto_LUKS"}:
        return Holding.OURS
    if seen.keyslots or not seen.untouched or not kinds <= {"crypto_LUKS"}:
        return Holding.FOREIGN
    return Holding.BEGUN if kinds else Holding.BLANK


def volumes_by_place(design: PoolDesign, volumes: Sequence[Volume]) -> dict[Place, Volume]:
    """The one volume of each place of the layout; raises `Refused` when one is missing or there are two.

    Volumes that have left the pool stand in none.
    """
    volumes = [volume for volume in volumes if volume.retirement is None]
    standing = {volume.place: volume for volume in volumes}
    missing = [place for place in design.layout.places() if place not in standing]
    if missing:
        raise Refused(
            f"Pool {design.name} needs {design.layout.volumes} volumes; there is none at {named_places(missing)}.",
            hint="Create and attach them (`ec2zfs volumes create`, `ec2zfs volumes attach`).",
        )
    if len(volumes) != design.layout.volumes:
        raise Refused(
            f"The layout {design.layout} has {design.layout.volumes} places, but {len(volumes)} volumes were found.",
            hint="Set pool.vdevs and pool.volumes_per_vdev to what the pool was made with; while a volume is replaced, "
            "finish that first (`ec2zfs pool repair`).",
        )
    return {place: standing[place] for place in design.layout.places()}


def _present(view: ReceiverView, volume: Volume) -> SeenVolume:
    seen = view.volume(volume.serial)
    if seen is None:
        raise Refused(
            f"{volume.place} ({volume.id}) does not show on the receiver.",
            hint="Attach it (`ec2zfs volumes attach`); if EC2 says that it is attached, detach it and attach it again.",
        )
    return seen


def _preparation(seen: dict[Volume, SeenVolume], view: ReceiverView) -> tuple[Preparation, ...]:
    """Keys are tested before anything is formatted, so that a wrong key leaves everything as it was."""
    holdings = {volume: holding(volume, found, encrypted=True) for volume, found in seen.items()}
    _require_none_foreign(holdings)
    closed = [volume for volume in holdings if volume.mapping not in view.mappings]
    blank = {volume: held for volume, held in holdings.items() if held is not Holding.OURS}
    tests = tuple(ProveKey(volume) for volume in closed if volume not in blank)
    formats = tuple(FormatVolume(volume, held) for volume, held in blank.items())
    return (*tests, *formats, *(OpenVolume(volume) for volume in closed))


def _completion(design: PoolDesign, standing: dict[Place, Volume], view: ReceiverView) -> CreatePool | ImportPool:
    """Import the pool that is there, or create it where there is none."""
    ours = [pool for pool in view.importable if pool.name == design.name]
    if design.encrypted:
        _require_no_other_pool(design, view.importable, ours)
    if ours:
        return ImportPool(ours[0].name, ours[0].guid)
    return CreatePool(design, member_paths(design, standing, view))


def member_paths(design: PoolDesign, standing: dict[Place, Volume], view: ReceiverView) -> tuple[tuple[str, ...], ...]:
    """The devices of the pool's members, vdev by vdev: mappings, or the bare volumes' lasting paths."""
    paths = {
        place: f"/dev/mapper/{volume.mapping}" if design.encrypted else _present(view, volume).path
        for place, volume in standing.items()
    }
    vdevs = range(1, design.layout.vdevs + 1)
    return tuple(tuple(path for place, path in paths.items() if place.vdev == vdev) for vdev in vdevs)


def _require_none_foreign(holdings: dict[Volume, Holding]) -> None:
    foreign = [volume for volume, held in holdings.items() if held is Holding.FOREIGN]
    if foreign:
        named = ", ".join(f"{volume.place} ({volume.id})" for volume in foreign)
        raise Refused(
            f"Something that ec2zfs did not put there stands on {named}; nothing was formatted.",
            hint="Look at it on the receiver (`wipefs`, `cryptsetup luksDump`); delete the volume if it is not needed.",
        )


def _require_no_other_pool(
    design: PoolDesign, importable: Sequence[ImportablePool], ours: Sequence[ImportablePool]
) -> None:
    others = [pool for pool in importable if pool not in ours]
    if others or len(ours) > 1:
        named = ", ".join(f"{pool.name} (GUID {pool.guid}, {pool.state})" for pool in importable)
        raise Refused(
            f"The volumes of pool {design.name} hold these pools: {named}; nothing was created.",
            hint="Set pool.name to the pool that you mean, or export and destroy the other by hand.",
        )


def _require_same_pool(design: PoolDesign, standing: dict[Place, Volume], view: ReceiverView) -> None:
    pool = view.imported
    if pool is None:
        return
    expected = [set(paths) for paths in member_paths(design, standing, view)]
    found = [{_whole_disk(member.path) for member in vdev.members} for vdev in pool.vdevs]
    if expected != found:
        raise Refused(
            f"A pool named {design.name} (GUID {pool.guid}) is imported on the receiver, and its members are not the "
            f"volumes of the layout {design.layout}: {', '.join(sorted(set().union(*found))) or 'none'}.",
            hint="Take another pool.name, or make the configuration describe the pool that is there.",
        )
    _require_same_kinds(design, pool)


def _require_same_kinds(design: PoolDesign, pool: PoolStatus) -> None:
    kinds = tuple(vdev.kind for vdev in pool.vdevs)
    if kinds != vdev_kinds(design.layout.redundancy, design.layout.vdevs):
        raise Refused(
            f"Pool {design.name} exists as {', '.join(kinds)}, not as {design.layout}.",
            hint="Set pool.redundancy to what the pool was made with.",
        )


def _whole_disk(path: str) -> str:
    """ZFS puts a whole disk's data into its first partition and shows that."""
    return path.removesuffix("-part1")


def named_places(places: Sequence[Place]) -> str:
    """Places for a sentence, the first of them if there are many."""
    shown = [str(place) for place in places[:8]]
    return ", ".join(shown) + (f" and {len(places) - 8} more" if len(places) > 8 else "")


def _words(held: Holding) -> str:
    return "nothing" if held is Holding.BLANK else held.value


def _condition(if_ours: bool) -> str:
    return ", if it bears our LUKS2 header" if if_ours else ""
