"""Which snapshots of a dataset are kept in a tier, and why; which go, and why. Pure.

Each period is counted by itself: the newest so many of it stay, and of these only what is not too old. Never goes: what
`ec2zfs` did not make, the newest snapshot of each period, a period for which there is no rule, and what is shielded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ec2zfs.model.policy import Keep
from ec2zfs.model.snapshot import Snapshot
from ec2zfs.model.snapshot_name import snapshot_parts, sortable


@dataclass(frozen=True, slots=True)
class Verdict:
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
    ranks: dict[str, int] = {}
    cutoffs = {name: sortable(now - keep.age) for name, keep in keeps.items() if keep.age}
    found = []
    for snapshot in reversed(snapshots):
        parts = snapshot_parts(snapshot.name)
        if parts is None:
            found.append(Verdict(snapshot, kept=True, reason="ec2zfs did not make it"))
            continue
        taken, period = parts
        rank = ranks[period] = ranks.get(period, 0) + 1
        keep = keeps.get(period)
        kept, reason = _by_rule(period, rank, keep, too_old=taken < cutoffs.get(period, ""))
        if not kept and (shield := shields.get(snapshot.guid)):
            kept, reason = True, shield
        found.append(Verdict(snapshot, kept, reason, rank))
    found.reverse()
    return found


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
