"""How a pool gets larger volumes: which of the two ways is taken, and growth in place step by step. Pure.

In place EC2 enlarges each volume under the pool (Elastic Volumes): no resilver, no attachment, no second volume to pay
for (fact 5). By replacement (replacement.py) is for what that cannot do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ec2zfs.errors import PoolUnwell, Refused
from ec2zfs.model.standing import Standing
from ec2zfs.model.volume import SIZES_GIB, Volume
from ec2zfs.plan.replacement import AGAIN, Caution, Want, begun_places, leaving_places, plan_replacement
from ec2zfs.plan.upkeep import Step
from ec2zfs.plan.volumes import ModifyVolume

_ELASTIC = frozenset(SIZES_GIB)
"""The types that Elastic Volumes change into each other; `standard` is not among them (fact 4)."""


class Strategy(StrEnum):
    """The two ways to grow."""

    IN_PLACE = "in-place"
    REPLACEMENT = "replacement"


@dataclass(frozen=True)
class Choice:
    """The way that is taken, and why."""

    strategy: Strategy
    reason: str

    def __str__(self) -> str:
        return f"{self.strategy}: {self.reason}"


def choose(want: Want, standing: Standing, forced: Strategy | None) -> Choice:
    """The way to grow these volumes. Raises `Refused` when there is none, or the forced one cannot be gone."""
    require_reachable(want, standing.current)
    fixed = [volume for volume in standing.current if volume.type not in _ELASTIC]
    if forced is Strategy.IN_PLACE and fixed:
        raise Refused(
            f"Volumes of type {fixed[0].type} cannot be changed in place: {fixed[0].place} ({fixed[0].id}) is one.",
            hint="Leave --by away, or say `--by replacement`.",
        )
    if forced:
        return Choice(forced, "it was asked for")
    if fixed:
        return Choice(Strategy.REPLACEMENT, f"a volume of type {fixed[0].type} cannot be changed in place")
    if begun_places(standing) or leaving_places(standing):
        return Choice(Strategy.REPLACEMENT, "replacements are under way already")
    return Choice(
        Strategy.IN_PLACE, "EC2 enlarges the volumes under the pool: nothing is resilvered, no attachment is needed"
    )


def plan_growth(want: Want, forced: Strategy | None, caution: Caution, standing: Standing) -> Step:
    """The next step of the growth, in the way that is chosen; none when every volume is as wanted."""
    if choose(want, standing, forced).strategy is Strategy.IN_PLACE:
        return plan_in_place(want, standing)
    return plan_replacement(want, standing, caution)


def require_reachable(want: Want, volumes: Sequence[Volume]) -> None:
    """Raise `Refused` when volumes of this type cannot have that size, or the pool's own are larger already."""
    least, most = SIZES_GIB[want.type]
    if not least <= want.size_gib <= most:
        raise Refused(
            f"A volume of type {want.type} has {least} to {most} GiB, not {want.size_gib}; nothing was changed."
        )
    larger = [volume for volume in volumes if volume.size_gib > want.size_gib]
    if larger:
        raise Refused(
            f"{larger[0].place} ({larger[0].id}) has {larger[0].size_gib} GiB, more than {want.size_gib}; a volume "
            "never shrinks. Nothing was changed.",
            hint=f"Ask for at least {max(volume.size_gib for volume in larger)} GiB.",
        )


def plan_in_place(want: Want, standing: Standing) -> Step:
    """The volumes to be modified now; none when all are as wanted, or EC2 takes the rest later (`scheduled`).

    Raises `PoolUnwell` when the pool is not healthy.
    """
    if not standing.pool.healthy:
        raise PoolUnwell(f"Pool {standing.pool.name} is not healthy, and is not grown now.", hint=AGAIN)
    waiting = {volume.id for volume in scheduled(want, standing)}
    return tuple(
        ModifyVolume(volume, max(want.size_gib, volume.size_gib), want.type)
        for volume in standing.current
        if want.lack(volume) and volume.id not in waiting
    )


def plan_due(standing: Standing) -> Step:
    """The modifications that EC2 refused earlier and takes now. A volume keeps its type."""
    return tuple(
        ModifyVolume(volume, max(volume.schedule.size_gib, volume.size_gib), volume.type)
        for volume in standing.current
        if volume.schedule is not None and volume.schedule.not_before <= standing.now
    )


def scheduled(want: Want, standing: Standing) -> tuple[Volume, ...]:
    """The volumes that EC2 refused to modify so soon, and that are to be modified at the time that it told."""
    return tuple(
        volume
        for volume in standing.current
        if want.lack(volume) and volume.schedule is not None and volume.schedule.not_before > standing.now
    )
