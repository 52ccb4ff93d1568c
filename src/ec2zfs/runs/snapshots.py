"""Work on snapshots: taking at the site what is due, destroying on either side what the policies do not keep there.

But for `prune_copies` it needs no cloud.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime

from ec2zfs.errors import ConfigurationError
from ec2zfs.execute.hooks import Hooks
from ec2zfs.execute.pruning import Pruned, PruningPlan, plan_pruning, prune
from ec2zfs.execute.replication_state import source_datasets, target_datasets
from ec2zfs.execute.snapshots import PERIOD, take
from ec2zfs.hosts.host import Host
from ec2zfs.model.policy import Keeps, Schedule, Tier
from ec2zfs.model.send_flags import SEND
from ec2zfs.model.snapshot import Dataset, Snapshot
from ec2zfs.model.source import Source
from ec2zfs.plan.due import TakeSnapshot, plan_snapshots
from ec2zfs.plan.fates import Fate, fates
from ec2zfs.plan.pruning import TierRules
from ec2zfs.plan.selection import Selection


@dataclass(frozen=True)
class StandIns:
    """What is copied to the cloud instead of the sources themselves: staged datasets, all below `root`.

    `sources` are those that leave in no other form. `names()` are the sources by the names of what stands in for them.
    """

    root: str
    sources: tuple[Source, ...]
    names: Callable[[], Mapping[str, str]]


@dataclass(frozen=True)
class Site:
    """The file server's side: its host, what is to be safe there, and by which policies.

    `lock` is held while snapshots are taken or destroyed: two commands would take what is due twice. `stand_ins` are
    copied for some of the sources; None: all are copied as they are.
    """

    host: Host
    sources: tuple[Source, ...]
    schedule: Schedule = field(default_factory=Schedule)
    hooks: Hooks = field(default_factory=Hooks)
    lock: Callable[[], AbstractContextManager[None]] = nullcontext
    stand_ins: StandIns | None = None

    def datasets(self) -> tuple[Dataset, ...]:
        """All datasets of the sources that no policy excludes, with their histories."""
        found = source_datasets(self.host, self.sources)
        return tuple(each for each in found if self.schedule.policy_of(each.name))

    def due(self, now: datetime, at_once: str | None = None) -> tuple[TakeSnapshot, ...]:
        """The snapshots that are due; those of the period `at_once` alone, if there is one.

        Raises `ConfigurationError` for a period that does not exist.
        """
        known = [period.name for period in self.schedule.periods]
        if at_once is not None and at_once not in known:
            raise ConfigurationError(
                f"There is no period {at_once}.", hint=f"There are {', '.join(known)}; [[period]] makes another."
            )
        return plan_snapshots(self.datasets(), self.schedule, now, at_once)

    def take_due(self, now: datetime, at_once: str | None = None) -> tuple[TakeSnapshot, ...]:
        """Take the snapshots that are due, between the hooks. Raises as `due` does."""
        with self.lock():
            actions = self.due(now, at_once)
            take(self.host, actions, self.hooks, now)
        return actions

    def plan_pruning(self, now: datetime) -> PruningPlan:
        """What the policies do not keep at the site."""
        return plan_pruning(self.host, self.datasets(), self.rules, now)

    def prune(self, now: datetime) -> Pruned:
        """Destroy what the policies do not keep at the site."""
        with self.lock():
            return prune(self.host, self.plan_pruning(now))

    def prune_copies(self, receiver: Host, pool: str, whole: Mapping[str, str], now: datetime) -> Pruned:
        """Destroy what the policies do not keep in the pool, of the copies in `whole`: their sources by their names.

        A copy's newest snapshot is the base of the next increment and always stays.
        """
        keeps = self.keeps_of_copies()
        rules = TierRules(
            lambda copy: keeps(whole[copy]) if copy in whole else None, SEND, lambda copy: _newest(copy.snapshots)
        )
        found = target_datasets(self.host, receiver, pool) if whole else ()
        copies = [copy for copy in found if copy.name in whole]
        return prune(receiver, plan_pruning(receiver, copies, rules, now))

    def fates(self, now: datetime, only: Collection[str] = ()) -> list[Fate]:
        """What becomes of each snapshot of the datasets that are named, of all if there are none.

        Raises `ConfigurationError` when one of them is not among the sources.
        """
        datasets = self.datasets()
        if strange := sorted({*only} - {each.name for each in datasets}):
            raise ConfigurationError(
                f"{', '.join(strange)} is no dataset of the sources, or a policy excludes it.",
                hint="`ec2zfs snapshots` alone lists them all.",
            )
        chosen = (each for each in datasets if not only or each.name in only)
        return [fate for each in chosen for fate in fates(each, self.rules, self.schedule, now)]

    @property
    def rules(self) -> TierRules:
        """How the site's snapshots are judged. The base of the next increment needs no shield: a cursor bookmark stands
        in for it, and where there is none it is held."""
        return TierRules(keeps_of(self.schedule, Tier.SITE), PERIOD)

    @property
    def sent_sources(self) -> tuple[Source, ...]:
        """What is copied to the cloud pool: the sources, or the staging dataset for those that are staged."""
        if self.stand_ins is None:
            return self.sources
        plain = tuple(each for each in self.sources if each not in self.stand_ins.sources)
        return (*plain, Source(self.stand_ins.root))

    def sent(self, now: Callable[[], datetime]) -> Selection:
        """Which snapshots the cloud pool is to get. It asks ZFS what stands in for the sources, if anything does."""
        return Selection(self.keeps_of_copies(), now)

    def keeps_of_copies(self) -> Callable[[str], Keeps | None]:
        """What the cloud keeps of each dataset that is copied, by its name at the site; None where it must not leave:
        a policy excludes it, it is to be staged, or it stands among what is staged and is not."""
        keeps = keeps_of(self.schedule, Tier.CLOUD)
        if self.stand_ins is None:
            return keeps
        root, staged, names = self.stand_ins.root, self.stand_ins.sources, self.stand_ins.names()

        def keeps_of_copy(dataset: str) -> Keeps | None:
            if dataset == root or dataset.startswith(f"{root}/"):
                return keeps(names[dataset]) if dataset in names else None
            return None if any(each.covers(dataset) for each in staged) else keeps(dataset)

        return keeps_of_copy


def keeps_of(schedule: Schedule, tier: Tier) -> Callable[[str], Keeps | None]:
    """What a tier keeps of each dataset, by its name at the site."""

    def keeps(dataset: str) -> Keeps | None:
        policy = schedule.policy_of(dataset)
        return policy.of(tier) if policy else None

    return keeps


def _newest(snapshots: tuple[Snapshot, ...]) -> dict[int, str]:
    return {snapshot.guid: "the next increment begins there" for snapshot in snapshots[-1:]}


def taken(actions: tuple[TakeSnapshot, ...]) -> str:
    """What was taken, in a line."""
    return "; ".join(map(str, actions)).replace("take ", "took ") if actions else "none was due"
