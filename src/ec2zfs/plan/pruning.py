"""Which snapshots of many datasets a tier destroys. Pure: the rules name them, and what ZFS says of these spares some.

What is held, has a clone, or does not bear our mark is spared. Only what the rules give up is ever asked about one by
one, so that a hundred thousand snapshots are judged from the one fast listing (fact 49).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from ec2zfs.model.policy import Keeps
from ec2zfs.model.snapshot import Dataset
from ec2zfs.plan.retention import Verdict, given_up, judge

BATCH = 500
"""Snapshots that one `zfs destroy` is given; their names stay far under what a command line takes."""

NO_SHIELDS: Mapping[int, str] = {}


@dataclass(frozen=True, slots=True)
class Particulars:
    """What ZFS says of one snapshot: how many hold it, its clones, the bytes that only it has, our property or ""."""

    guid: int
    holds: int
    clones: str
    used: int
    mark: str


@dataclass(frozen=True)
class DestroySnapshots:
    """Destroy these snapshots of a dataset, whole or not at all. `marked_by` is the user property of what is ours.

    Each carries its GUID and what the property said: ZFS is asked again before anything is done.
    """

    dataset: str
    marked_by: str
    verdicts: tuple[Verdict, ...]
    marks: tuple[str, ...]
    used: tuple[int, ...]

    def __str__(self) -> str:
        return f"destroy {len(self.verdicts)} snapshots of {self.dataset}"


@dataclass(frozen=True)
class TierRules:
    """How a tier's snapshots are judged: its rules by dataset (None: not ours to prune), the user property that says
    which are ours, and what must stay by GUID."""

    keeps: Callable[[str], Keeps | None]
    marked_by: str
    shields: Callable[[Dataset], Mapping[int, str]] = lambda _dataset: NO_SHIELDS


def candidates(datasets: Iterable[Dataset], tier: TierRules, now: datetime) -> list[Verdict]:
    """The snapshots that by the rules would go."""
    ruled = ((dataset, tier.keeps(dataset.name)) for dataset in datasets)
    return [
        verdict
        for dataset, keeps in ruled
        if keeps is not None
        for verdict in given_up(dataset.snapshots, keeps, tier.shields(dataset), now)
    ]


def verdicts(dataset: Dataset, tier: TierRules, now: datetime) -> list[Verdict]:
    """A verdict on each snapshot of a dataset, oldest first."""
    keeps = tier.keeps(dataset.name)
    if keeps is None:
        return [Verdict(each, kept=True, reason="its dataset is excluded") for each in dataset.snapshots]
    return judge(dataset.snapshots, keeps, tier.shields(dataset), now)


def spared(verdict: Verdict, found: Mapping[str, Particulars]) -> Verdict | None:
    """The verdict once ZFS was asked: kept after all, or as it was. None: the snapshot is not there any more."""
    seen = found.get(str(verdict.snapshot))
    if seen is None or seen.guid != verdict.snapshot.guid:
        return None
    if not seen.mark:
        return verdict._replace(kept=True, reason="ec2zfs did not make it")
    if seen.holds:
        return verdict._replace(kept=True, reason="it is held (`ec2zfs holds`)")
    if seen.clones:
        return verdict._replace(kept=True, reason=f"it has the clone {seen.clones}")
    return verdict


def destructions(
    judged: Sequence[Verdict], found: Mapping[str, Particulars], marked_by: str
) -> Iterator[DestroySnapshots]:
    """The actions for the verdicts that are not kept, dataset by dataset, oldest snapshots first."""
    doomed = [verdict for verdict in judged if not verdict.kept]
    for dataset, group in groupby(doomed, key=lambda verdict: verdict.snapshot.dataset):
        whole = tuple(group)
        for start in range(0, len(whole), BATCH):
            part = whole[start : start + BATCH]
            seen = [found[str(verdict.snapshot)] for verdict in part]
            marks, used = tuple(each.mark for each in seen), tuple(each.used for each in seen)
            yield DestroySnapshots(dataset, marked_by, part, marks, used)
