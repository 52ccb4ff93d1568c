"""Another pool key for the pool: the new one comes to every volume and is tested, then the old one goes.

With a replacement every volume is first replaced by one whose LUKS layer was made under the new key. Cut off anywhere,
one of the two keys opens the whole pool, and the same call finishes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ec2zfs.errors import Ec2zfsError, Refused
from ec2zfs.execute.rekeying import TwoKeys, carry_out, key_slots
from ec2zfs.hosts.secret import Secret
from ec2zfs.model.pool import PoolDesign, PoolStatus
from ec2zfs.model.volume import Volume
from ec2zfs.plan.pool import FormatVolume
from ec2zfs.plan.rekeying import KeySlots, Phase, RemoveOldKey, both_keys, plan_rekeying, stale, volumes_to_rekey
from ec2zfs.plan.replacement import Caution, Want
from ec2zfs.plan.upkeep import Step
from ec2zfs.runs.expiry import expire
from ec2zfs.runs.growth import scrub_after
from ec2zfs.runs.rounds import replace_in_rounds
from ec2zfs.runs.stages import Journal
from ec2zfs.runs.upkeep import OpenPool, UpkeepParts, opened
from ec2zfs.tools.volume_keys import VolumeKeys

_ROUNDS = 5
"""Looks at most while keys are added or removed: a key may stand in more than one slot, but not in many."""


@dataclass(frozen=True)
class Renewal:
    """How every volume is to be replaced (`--replace`): by what, and with how much care."""

    want: Want
    caution: Caution


@dataclass(frozen=True)
class Rekeyed:
    """What it came to. `kept` are the volumes that are out of the pool, and open with the old key until deleted."""

    pool: PoolStatus
    volumes: tuple[Volume, ...]
    kept: tuple[Volume, ...]


def rekey(parts: UpkeepParts, old: Secret, new: Secret, journal: Journal, renewal: Renewal | None = None) -> Rekeyed:
    """Let the new pool key open every volume, and the old one none.

    Raises `Refused` for a pool without encryption, equal keys, and a volume that cannot be reached, `WrongPoolKey` when
    neither key opens one: before any key is removed.
    """
    require_encrypted(parts.design)
    _require_apart(old, new)
    keys = TwoKeys(VolumeKeys(old, parts.design.name), VolumeKeys(new, parts.design.name))
    with opened(parts, old, journal, other_key=new) as pool:
        work = _Rekeying(pool, keys, journal)
        work.add(renewing=renewal is not None)
        if renewal:
            work.renew(renewal)
        work.test()
        work.remove()
        if renewal:
            expire(pool, journal)
        standing = pool.observe()
    kept = tuple(volume for volume in standing.volumes if volume.retirement)
    return Rekeyed(standing.pool, volumes_to_rekey(standing), kept)


def require_encrypted(design: PoolDesign) -> None:
    """Raise `Refused` for a pool that has no key."""
    if not design.encrypted:
        raise Refused("The pool has no encryption, and so no key to change (pool.encryption).")


def _require_apart(old: Secret, new: Secret) -> None:
    """Raise `Refused` for equal keys: nobody could tell which volumes are done."""
    if old == new:
        raise Refused(
            "The old and the new pool key are the same; nothing was changed.",
            hint="Give the key of today in [pool_key] and the next one in [new_pool_key].",
        )


class _Rekeying:
    """One rekeying of an open pool, stage by stage; each looks anew."""

    def __init__(self, pool: OpenPool, keys: TwoKeys, journal: Journal) -> None:
        self._pool, self._keys, self._journal = pool, keys, journal
        self._name = pool.parts.design.name

    def add(self, *, renewing: bool) -> None:
        """Every volume gets the new key; with `renewing`, one that was formatted with it gets the old key as well."""
        with self._journal.stage("add the new key") as stage:
            seen = self._settle(renewing=renewing, removing=False)
            stage.outcome = f"it opens {len(seen)} volumes"

    def renew(self, renewal: Renewal) -> None:
        """Replace what was not made under the new key, one volume of every vdev at a time; then scrub."""
        want = replace(renewal.want, stale=stale(self._look(replacing=True)))
        # Whatever the pool was opened with, the new key opens every volume now; the new ones are formatted with it.
        pool = OpenPool(self._pool.parts, self._pool.host, self._keys.new, self._journal.now)
        replace_in_rounds(pool, want, renewal.caution, self._journal, after=self._open_with_both)
        standing = pool.observe()
        scrub_after(pool, standing, standing.pool, self._journal)

    def test(self) -> None:
        """Look whether the new key opens every volume; `plan_rekeying` asks for more when it does not."""
        with self._journal.stage("test the new key") as stage:
            seen = self._look()
            phase = plan_rekeying(seen, fresh=False)
            if phase is not None and not isinstance(phase, RemoveOldKey):
                raise Ec2zfsError(
                    f"The new key does not open every volume: {phase} first. No key was removed.",
                    hint="Give the same command again.",
                )
            stage.outcome = f"it opens all {len(seen)} volumes"

    def remove(self) -> None:
        """Take the old key from every volume that has it."""
        with self._journal.stage("remove the old key") as stage:
            had = sum(each.old is not None for each in self._look())
            seen = self._settle(renewing=False, removing=True)
            stage.outcome = f"removed from {had} of {len(seen)} volumes; only the new key opens the pool"

    def _settle(self, *, renewing: bool, removing: bool) -> Sequence[KeySlots]:
        """Phase after phase, until no more is to be done, or with `removing` not set until only a removal is."""
        for _ in range(_ROUNDS):
            seen = self._look(replacing=renewing)
            phase = plan_rekeying(seen, fresh=renewing)
            if phase is None or (isinstance(phase, RemoveOldKey) and not removing):
                return seen
            self._carry_out(phase)
        raise Ec2zfsError(
            f"The keys of pool {self._name} are still not as they should be after {_ROUNDS} attempts.",
            hint="Look at the headers on the receiver with `cryptsetup luksDump`.",
        )

    def _look(self, *, replacing: bool = False) -> tuple[KeySlots, ...]:
        volumes = volumes_to_rekey(self._pool.observe(), replacing=replacing)
        return key_slots(self._pool.host, self._name, volumes, self._keys)

    def _open_with_both(self, step: Step) -> None:
        """After a step that formatted volumes: they have the new key only, and get the old one before they are used."""
        made = {action.volume.id for action in step if isinstance(action, FormatVolume)}
        if made and (phase := both_keys(self._look(replacing=True), made)):
            self._carry_out(phase)

    def _carry_out(self, phase: Phase) -> None:
        self._pool.parts.progress.say(str(phase))
        carry_out(self._pool.host, self._name, phase, self._keys)
