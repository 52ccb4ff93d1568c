"""Which snapshots of a dataset are kept in a tier, and why; which go, and why. Pure.

Each period is counted by itself: the newest so many of it stay, and of these only what is not too old. Never goes: what
`ec2zfs` did not make, the newest snapshot of each period, a period for which there is no rule, and what is shielded.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from ec2zfs.model.policy import Keep
from ec2zfs.model.snapshot import Snapshot
from ec2zfs.model.snapshot_name import periods_of, snapshot_parts, sortable


class Verdict(NamedTuple):
    """What becomes of a snapshot, and the reason. `rank` counts from 1, the newest of its period; 0: it has none."""

    snapshot: Snapshot
    kept: bool
    reason: str
    rank: int = 0

    def __str__(self) -> str:
        return f"{'keep' if self.kept else 'destroy'} {self.snapshot}: {self.reason}"


def judge(
    snapshots: Sequence[Snapshot], keeps: Mapping[str, Keep], shields: Mapping[int, str], now: datetime
) -> list[Verdict]:
    """A verdict on each of a dataset's snapshots, in their order, which is oldest first.

    `shields` say by GUID why a snapshot must stay whatever the rules say: held, or needed by a copy. They take no place
    in the count, but where a rule keeps a snapshot anyway that is the reason that is told.
    """
    rules = _Rules.of(keeps, shields, now)
    found = [rules.verdict(snapshot, period, rank) for snapshot, period, rank in _ranked(snapshots)]
    found.reverse()
    return found


def given_up(
    snapshots: Sequence[Snapshot], keeps: Mapping[str, Keep], shields: Mapping[int, str], now: datetime
) -> list[Verdict]:
    """Only the verdicts of `judge` on what goes; no time is spent on words for the many that are kept."""
    rules, found, ranks = _Rules.of(keeps, shields, now), [], dict.fromkeys(keeps, 0)
    ranked = {period: 0 if keep.age else keep.count for period, keep in keeps.items()}
    for snapshot, period in zip(reversed(snapshots), _periods(snapshots), strict=True):
        if period in ranked:
            rank = ranks[period] = ranks[period] + 1
            if rank > ranked[period] and not (verdict := rules.verdict(snapshot, period, rank)).kept:
                found.append(verdict)
    found.reverse()
    return found


def _ranked(snapshots: Sequence[Snapshot]) -> Iterator[tuple[Snapshot, str, int]]:
    """Newest first: each with its period, "" for one that is not ours, and its place in that, counted from 1."""
    ranks: dict[str, int] = defaultdict(int)
    for snapshot, period in zip(reversed(snapshots), _periods(snapshots), strict=True):
        ranks[period] += 1
        yield snapshot, period, ranks[period]


def _periods(snapshots: Sequence[Snapshot]) -> list[str]:
    """The period of each, newest first."""
    return periods_of([snapshot.name for snapshot in reversed(snapshots)])


@dataclass(frozen=True)
class _Rules:
    """What is kept of each period, the times before which one is too old, as in names, and what must stay by GUID."""

    keeps: Mapping[str, Keep]
    cutoffs: Mapping[str, str]
    shields: Mapping[int, str]

    @staticmethod
    def of(keeps: Mapping[str, Keep], shields: Mapping[int, str], now: datetime) -> _Rules:
        return _Rules(keeps, {name: sortable(now - keep.age) for name, keep in keeps.items() if keep.age}, shields)

    def verdict(self, snapshot: Snapshot, period: str, rank: int) -> Verdict:
        if not period:
            return Verdict(snapshot, kept=True, reason="ec2zfs did not make it")
        kept, reason = _by_rule(period, rank, self.keeps.get(period), too_old=self._too_old(snapshot, period))
        if not kept and (shield := self.shields.get(snapshot.guid)):
            return Verdict(snapshot, kept=True, reason=shield, rank=rank)
        return Verdict(snapshot, kept, reason, rank)

    def _too_old(self, snapshot: Snapshot, period: str) -> bool:
        cutoff = self.cutoffs.get(period)
        parts = snapshot_parts(snapshot.name) if cutoff else None
        return bool(cutoff and parts and parts.time < cutoff)


def _by_rule(period: str, rank: int, keep: Keep | None, *, too_old: bool) -> tuple[bool, str]:
    if keep is None:
        return True, f"there is no rule for {period}"
    if rank <= keep.count and not too_old:
        return True, f"{period} {rank} of {keep.count}"
    if rank == 1:
        return True, f"the newest {period}"
    if too_old and keep.age:
        return False, f"{period} older than {keep.age.days} days"
    return False, f"{period} {rank} of {keep.count}"
