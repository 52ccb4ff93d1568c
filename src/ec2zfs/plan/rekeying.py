"""From one pool key to another: what is done next to the volumes' key slots, from which of them each key opens. Pure.

First the new key comes to every volume; from then on it opens all of them. Only then the old one goes; until then it
opens all of them too. So at any moment one of the two opens the whole pool, and a rekeying that was cut off is carried
on by the next plan, which needs to know nothing of the first.

A volume is fresh, in the sense of `--replace`, when the new key opens slot 0: that slot is filled by the formatting
alone (tools/rekey.sh adds keys behind it), so its LUKS layer was made under the new key, with a volume key of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from ec2zfs.errors import Refused, WrongPoolKey
from ec2zfs.model.standing import Standing
from ec2zfs.model.volume import Volume, VolumeState
from ec2zfs.plan.pool import Holding, holding
from ec2zfs.plan.readying import newcomer

FORMATTED_SLOT = 0
"""The key slot that formatting fills, and that no key is ever added to."""

_GONE = frozenset({VolumeState.ERROR, VolumeState.DELETING, VolumeState.DELETED})


@dataclass(frozen=True)
class KeySlots:
    """The key slots of a volume that the old and the new key open; None where the key opens none."""

    volume: Volume
    old: int | None
    new: int | None


@dataclass(frozen=True)
class AddNewKey:
    """Give these volumes the new key beside the old one."""

    volumes: tuple[Volume, ...]

    def __str__(self) -> str:
        return f"add the new key to {_counted(self.volumes)}, and test it"


@dataclass(frozen=True)
class AddOldKey:
    """Give volumes that were formatted with the new key the old one as well, so that both open every volume."""

    volumes: tuple[Volume, ...]

    def __str__(self) -> str:
        return f"add the old key to {_counted(self.volumes)}, until all are replaced"


@dataclass(frozen=True)
class RemoveOldKey:
    """Test the new key on all of these volumes once more, then take the old one from each that has it."""

    volumes: tuple[Volume, ...]

    def __str__(self) -> str:
        return f"remove the old key from {_counted(self.volumes)}"


Phase = AddNewKey | AddOldKey | RemoveOldKey


def volumes_to_rekey(standing: Standing, *, replacing: bool = False) -> tuple[Volume, ...]:
    """The current volumes that have a LUKS layer, in the order of their places.

    Those that are only kept are left alone: they leave with the key that they have. Raises `Refused` when a volume is
    not at hand that may be needed again: it would be left with the old key alone. `replacing`: no key is removed yet,
    so one that waits for an attachment on its way into the pool may be away.
    """
    living = [volume for volume in standing.current if volume.state not in _GONE]
    if replacing:
        living = [each for each in living if standing.attached(each) or newcomer(standing, each.place) != each]
    away = [volume for volume in living if not standing.attached(volume)]
    if away:
        raise Refused(
            f"{_named(away)} does not hang on the receiver, and would keep the old key alone. No key was removed.",
            hint="Bring the pool to full redundancy (`ec2zfs pool repair`), then give the same command again.",
        )
    formatted = [volume for volume in living if _is_formatted(standing, volume)]
    return tuple(sorted(formatted, key=lambda volume: (volume.place, volume.generation)))


def plan_rekeying(seen: Sequence[KeySlots], *, fresh: bool) -> Phase | None:
    """The next phase; None when the new key alone opens every volume, or with `fresh` while volumes are to be replaced.

    `fresh`: every volume is to have a LUKS layer made under the new key; the old key stays until then. Raises
    `WrongPoolKey` when a volume is opened by neither key.
    """
    _require_a_key(seen)
    if lacking := tuple(each.volume for each in seen if each.new is None):
        return AddNewKey(lacking)
    if fresh and (left := stale(seen)):
        return both_keys(seen, {each.volume.id for each in seen} - left)
    return RemoveOldKey(tuple(each.volume for each in seen)) if any(each.old is not None for each in seen) else None


def stale(seen: Iterable[KeySlots]) -> frozenset[str]:
    """The ids of the volumes whose LUKS layer was not made under the new key."""
    return frozenset(each.volume.id for each in seen if each.new != FORMATTED_SLOT)


def both_keys(seen: Sequence[KeySlots], made: Collection[str]) -> AddOldKey | None:
    """What lets the old key open the volumes of these ids too, which were made under the new one.

    None as soon as one of the others does without the old key: then it opens the pool no more anyway.
    """
    if any(each.old is None for each in seen if each.volume.id not in made):
        return None
    lacking = tuple(each.volume for each in seen if each.volume.id in made and each.old is None)
    return AddOldKey(lacking) if lacking else None


def _require_a_key(seen: Iterable[KeySlots]) -> None:
    closed = [each.volume for each in seen if each.old is None and each.new is None]
    if closed:
        raise WrongPoolKey(
            f"Neither the old nor the new pool key opens {_named(closed)}; no key was removed.",
            hint="Give the key with which the pool was created, or last rekeyed, in [pool_key], and the next one in "
            "[new_pool_key].",
        )


def _is_formatted(standing: Standing, volume: Volume) -> bool:
    """A member always is; a volume that is on its way into the pool when its header says so."""
    if standing.member(volume) or volume.mapping in standing.view.mappings:
        return True
    seen = standing.view.volume(volume.serial)
    return seen is not None and holding(volume, seen, encrypted=True) is Holding.OURS


def _counted(volumes: Sequence[Volume]) -> str:
    return "1 volume" if len(volumes) == 1 else f"{len(volumes)} volumes"


def _named(volumes: Iterable[Volume]) -> str:
    return ", ".join(f"{volume.mapping} ({volume.id})" for volume in volumes)
