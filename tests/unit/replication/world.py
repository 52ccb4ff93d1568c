"""A site and a receiver in memory, and what the tests of this folder look at in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.fakes.deaths import Death, Deaths
from tests.fakes.zfs_world import WorldTransport, ZfsHost, unheard

from ec2zfs.execute.carrier import Carriage, Fixed
from ec2zfs.execute.progress import Progress, Silent
from ec2zfs.execute.replication import Replicator
from ec2zfs.execute.replication_report import ReplicationReport
from ec2zfs.model.policy import Schedule, Tier
from ec2zfs.model.source import Source
from ec2zfs.plan.selection import Selection
from ec2zfs.runs.snapshots import keeps_of

TANK = (Source("tank"),)
NOW = datetime(2026, 11, 24, 2, 17, tzinfo=UTC)
STANDARD = Selection(keeps_of(Schedule(), Tier.CLOUD), lambda: NOW)


@dataclass
class World:
    """`cloud` on the receiver and `tank` at the site, both empty at first."""

    site: ZfsHost = field(default_factory=lambda: ZfsHost("site"))
    receiver: ZfsHost = field(default_factory=lambda: ZfsHost("receiver"))
    transport: WorldTransport = field(default_factory=WorldTransport)
    listener: Progress = field(default_factory=Silent)
    pauses: list[float] = field(default_factory=list)
    selection: Selection = STANDARD
    streams: int = 1

    def __post_init__(self) -> None:
        self.site.zfs.create("tank")
        self.receiver.zfs.create("cloud")

    def listen(self, hook: Callable[[str], object] = unheard) -> None:
        self.site.hook = self.receiver.hook = self.transport.hook = hook

    def replicator(self) -> Replicator:
        return Replicator(
            self.site,
            self.receiver,
            "cloud",
            Fixed(Carriage(self.transport)),
            self.listener,
            self.selection,
            self.pauses.append,
            self.streams,
        )

    def replicate(self, sources: Sequence[Source] = TANK) -> ReplicationReport:
        replicator = self.replicator()
        return replicator.run(replicator.plan(replicator.observe(sources)))

    def take(self, name: str) -> None:
        """A snapshot of every dataset at the site."""
        self.site.zfs.take([f"{dataset}@{name}" for dataset in self.site.zfs.datasets], {"a:b": "c"})

    def copies(self) -> dict[str, list[str]]:
        """The names of the snapshots on the receiver, by the name of their source."""
        return {
            name.removeprefix("cloud/"): [snap.name for snap in copy.snapshots]
            for name, copy in self.receiver.zfs.datasets.items()
            if name != "cloud"
        }

    def held(self) -> dict[str, list[str]]:
        """The tags on each snapshot that is held, of both sides."""
        return {
            f"{name}@{snap.name}": [*tags]
            for host in (self.site, self.receiver)
            for name, each in host.zfs.datasets.items()
            for snap in each.snapshots
            if (tags := each.holds.get(snap.guid))
        }

    def noted(self) -> dict[str, str]:
        """Where ZFS remembers that there may be holds, and for which pools."""
        return {
            name: value
            for host in (self.site, self.receiver)
            for name, each in host.zfs.datasets.items()
            if (value := each.properties.get("ec2zfs:holds"))
        }

    def cursors(self) -> dict[str, list[int]]:
        """The GUIDs that the bookmarks at the site stand for."""
        return {name: [mark.guid for mark in held.bookmarks] for name, held in self.site.zfs.datasets.items()}

    def sent(self) -> list[str]:
        """The argv of each stream since the last time, without the flags that all have."""
        words = [line.replace("-L -e -c ", "") for line in self.transport.carried]
        self.transport.carried.clear()
        return words


def deaths_of(
    world: World, work: Callable[[World], object] = World.replicate, *, at_least: int
) -> Iterator[Death[World, str]]:
    """Let a world do its work to the end, and give the worlds that deaths meanwhile can leave, which nobody hears.

    It is one of each kind of event that changes something, at most a dozen, or with `--every` all; `at_least`: how
    many kinds there are.
    """
    deaths = Deaths[World, str](world, state=_hosts, receiver=lambda each: each.receiver)

    def heard(event: str) -> None:  # a function, so that copies of the world have it too and none of their own
        deaths.look(event)

    world.listen(heard)
    work(world)
    world.listen()
    return (_unheard(death) for death in deaths.tried(_kind, at_least=at_least))


def _hosts(world: World) -> tuple[ZfsHost, ZfsHost]:
    return world.site, world.receiver


def _unheard(death: Death[World, str]) -> Death[World, str]:
    death.world.listen()
    return death


def _kind(event: str) -> str:
    """The host, the tool and its verb, as in `site: before zfs hold`."""
    return " ".join(event.split()[:4])
