"""Mending the pool: what can come back is brought back, what is lost is replaced."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ec2zfs.errors import PoolUnwell
from ec2zfs.hosts.secret import Secret
from ec2zfs.model.pool import PoolStatus
from ec2zfs.model.standing import Standing
from ec2zfs.plan.repair import Mending, plan_repair
from ec2zfs.plan.replacement import Caution, Want
from ec2zfs.plan.upkeep import ReopenMember, Step
from ec2zfs.plan.volumes import AttachVolume
from ec2zfs.runs.expiry import expire
from ec2zfs.runs.stages import Journal
from ec2zfs.runs.upkeep import UpkeepParts, opened


def repair(
    parts: UpkeepParts, want: Want, caution: Caution, condemned: frozenset[str], key: Secret | None, journal: Journal
) -> PoolStatus:
    """Bring the pool back to full redundancy; returns it as it was before it was locked.

    `condemned` are ids of volumes to be replaced though ZFS may like them. Raises `PoolUnwell` when data is damaged
    that no redundancy can bring back, `Refused` as the plan does.
    """
    parts = replace(parts, attach=partial(parts.attach, condemned=condemned))
    with opened(parts, key, journal) as pool:
        with journal.stage("repair") as stage:
            mender = Mender(want, caution, Mending(condemned=condemned))
            standing = pool.work(mender.plan)
            stage.outcome = "; ".join(mender.done) or "nothing was to be done"
        _require_well(standing.pool)
        expire(pool, journal)
    return standing.pool


class Mender:
    """Plans step by step, and remembers in this run which members were brought back already."""

    def __init__(self, want: Want, caution: Caution, mending: Mending) -> None:
        self._want, self._caution = want, caution
        self._mending = mending
        self.done: list[str] = []

    def plan(self, standing: Standing) -> Step:
        """The next step; what it tries is remembered."""
        step = plan_repair(self._want, standing, self._caution, self._mending)
        tried = {action.volume.id for action in step if isinstance(action, ReopenMember)}
        # One that was away when it was tried is to be tried again once it hangs there.
        attached = {(action.place, action.generation) for action in step if isinstance(action, AttachVolume)}
        back = {each.id for each in standing.current if (each.place, each.generation) in attached}
        self._mending = replace(self._mending, tried=(self._mending.tried | tried) - back)
        self.done += [str(action) for action in step]
        return step


def _require_well(pool: PoolStatus) -> None:
    if pool.healthy:
        return
    words = f"{pool.state}. {pool.status} {pool.errors}".rstrip()
    raise PoolUnwell(
        f"Pool {pool.name} has its redundancy back as far as its volumes allow, but is not well: {words}",
        hint="`zpool status -v` on the receiver names damaged files; destroy those snapshots and back up again.",
    )
