"""A whole world for the daily run: EC2, a receiver with the pool on its volumes, the site, all in memory.

    day = Day()                            # the pool is made, the receiver rests; made=False: there is nothing yet
    Controller(day).back_up(NOW)           # one process, once; the next one is another Controller
    Controller(day, Cut(call=7)).back_up(NOW)

Every call of a controller to the outside goes through `Controller.outside`, one after the other and so in the same
order every time; a `Cut` makes one of them fail or the last. After each, the world follows: a machine that no longer
runs loses its memory, a terminated one lets its volumes go, and two instances at a time fail the test.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Protocol, TypeVar, cast

from tests.fakes.cloud import FakeVolumes
from tests.fakes.fuse import Killed, Moment
from tests.fakes.instances import FakeInstances, FakeSecurityGroup, console_with
from tests.fakes.machine import FACTS, KEY, Machine
from tests.fakes.pool_machine import PoolMachine
from tests.fakes.pools import PAIR, ZONE, design, wish
from tests.fakes.zfs_world import WorldTransport, ZfsHost

from ec2zfs.cloud.patience import Patience
from ec2zfs.cloud.protocols import Image, rule
from ec2zfs.errors import Ec2zfsError, HostError
from ec2zfs.execute.carrier import Chosen
from ec2zfs.execute.members import Members
from ec2zfs.execute.pool import CloudPool
from ec2zfs.execute.progress import Silent
from ec2zfs.execute.receiver import Access, Limits, Receiver, ReceiverCloud, ReceiverTerms
from ec2zfs.execute.replication import Replicator
from ec2zfs.execute.replication_report import ReplicationReport
from ec2zfs.execute.volumes import VolumeFleet
from ec2zfs.hosts.host import Command, Host, Result, Stage
from ec2zfs.hosts.known_hosts import KnownHosts
from ec2zfs.hosts.secret import Secret
from ec2zfs.model.instance import Instance, InstanceState, InstanceType, Market
from ec2zfs.model.layout import Layout
from ec2zfs.model.line import Line
from ec2zfs.model.policy import Keep, PolicyRule, Schedule, Tier
from ec2zfs.model.pool import PoolStatus
from ec2zfs.model.source import Source
from ec2zfs.model.stream_mode import StreamMode
from ec2zfs.model.volume import Volume
from ec2zfs.plan.receiver import WantedReceiver
from ec2zfs.runs.backup import BackupParts, back_up
from ec2zfs.runs.creation import CreationParts, create_pool
from ec2zfs.runs.snapshots import Site
from ec2zfs.runs.stages import Journal
from ec2zfs.runs.upkeep import UpkeepParts
from ec2zfs.transport.probe import Barrier
from ec2zfs.transport.transport import unwatched

T = TypeVar("T")

POOL_KEY = Secret(b"the key that opens the pool, and no other")
SOURCES = (Source("tank"), Source("www", recursive=False))
TYPE = InstanceType("m7g.medium", 4096, 27, True, "arm64")
DAILY = Schedule(rules=(PolicyRule(("**",), {tier: {"daily": Keep(30)} for tier in Tier}),))
STREAMS = (28300, 28315)
ADDRESS = "203.0.113.9/32"
SSH_RULE, STREAMS_RULE = rule(ADDRESS, (22, 22)), rule(ADDRESS, STREAMS)
LIMITS = Limits(running=5, stopped=5, console=0.1, ssh=0.0, patience=Patience(0.0, 0.02))


class PoolHolder(Protocol):
    """A receiver as our pool scripts see it: `PoolMachine`, or the one on which the scripts themselves run."""

    volumes: FakeVolumes

    @property
    def mappings(self) -> list[str]: ...

    @property
    def imported(self) -> list[str]: ...

    def reboot(self) -> None: ...

    def run(self, command: Command) -> Result: ...


@dataclass
class Pins:
    """The state directory's `KnownHosts` without its disk."""

    pinned: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def keys(self, alias: str) -> tuple[str, ...]:
        """As `KnownHosts.keys`."""
        return self.pinned.get(alias, ())

    def pin(self, alias: str, keys: Iterable[str]) -> None:
        """As `KnownHosts.pin`."""
        self.pinned[alias] = tuple(keys)

    def forget(self, alias: str) -> None:
        """As `KnownHosts.forget`."""
        self.pinned.pop(alias, None)


class Day:
    """What there is outside of controllers. `dead`: the receiver answers nobody until it is switched off.

    `mode` is how streams are to travel, `barrier` what keeps them from the direct way, `carried` which each has taken.
    `market`, `zone` and `type` are what the configuration says of the receiver, `facts` what its system is like;
    `design` is the pool's, `grace` the time for which a replaced volume is kept, `schedule` when snapshots are due.
    """

    def __init__(
        self,
        market: Market = Market.ON_DEMAND,
        machine: PoolHolder | None = None,
        *,
        layout: Layout = PAIR,
        made: bool = True,
    ) -> None:
        self.design = design(layout)
        self.grace = timedelta(days=7)
        self.schedule = DAILY
        self.market = market
        self.zone = ZONE
        self.type = TYPE
        self.facts = dict(FACTS)
        self.pins = Pins()
        self.ec2 = FakeInstances(unseen_looks=1)
        self.group = FakeSecurityGroup()
        self.machine: PoolHolder = machine or PoolMachine(FakeVolumes("cloud"))
        self.copies = ZfsHost("receiver")
        self.site = ZfsHost("site")
        self.dead = False
        self.mode = StreamMode.AUTO
        self.barrier = ""
        self.carried: list[str] = []
        self.ec2.consoles = {f"i-{number:017x}": [console_with(KEY)] for number in range(1, 9)}
        self._make_datasets()
        if made:
            Controller(self).create_pool()

    @property
    def volumes(self) -> FakeVolumes:
        return self.machine.volumes

    def copy(self) -> Day:
        """Another world that is as this one is now."""
        return copy.deepcopy(self)

    def _make_datasets(self) -> None:
        self.copies.zfs.create("cloud")
        for name in ("tank", "tank/home", "www"):
            self.site.zfs.create(name)
            self.site.zfs.snapshot(name, "theirs", 1000)
        self.site.zfs.find("tank").properties |= {"compression": "lz4", "mountpoint": "/srv"}

    def settle(self) -> None:
        """What follows from the instances' states, which are EC2's to say."""
        paid = [each for each in self.ec2.all.values() if each.state is not InstanceState.TERMINATED]
        assert len(paid) <= 1, f"two instances at a time: {paid}"
        for each in self.ec2.all.values():
            self.volumes.instances[each.id] = each.zone
            if each.state is InstanceState.TERMINATED:
                self.volumes.release(each.id)
        if not any(each.state is InstanceState.RUNNING for each in paid):
            self.machine.reboot()
            self.dead = False

    def dead_man_fires(self) -> None:
        """Whatever runs powers itself off, which is the end of a spot instance (fact 15)."""
        after = InstanceState.TERMINATED if self.market is Market.SPOT else InstanceState.STOPPED
        for each in list(self.ec2.all.values()):
            if each.state in (InstanceState.PENDING, InstanceState.RUNNING):
                self.ec2.add(replace(each, state=after))
        self.settle()

    def change(self) -> None:
        """Somebody works at the site."""
        for dataset in self.site.zfs.datasets.values():
            dataset.written += 50

    def histories(self) -> dict[str, list[tuple[str, int]]]:
        """The snapshots at the site: names and GUIDs by dataset."""
        return _histories(self.site)

    def copied(self) -> dict[str, list[tuple[str, int]]]:
        """The same of the copies, by the names of their sources; what only holds others is left out."""
        held = {name.removeprefix("cloud/"): snaps for name, snaps in _histories(self.copies).items()}
        return {name: snaps for name, snaps in held.items() if snaps}

    def shown(self) -> dict[str, object]:
        """Everything that a look must not change."""
        return {
            "instances": self.ec2.states(),
            "rules": self.group.rules,
            "history": list(self.group.history),
            "volumes": list(self.volumes.paid),
            "pool": (self.machine.imported, self.machine.mappings),
            "site": repr(self.site.zfs),
            "copies": repr(self.copies.zfs),
        }


def _histories(host: ZfsHost) -> dict[str, list[tuple[str, int]]]:
    return {name: [(snap.name, snap.guid) for snap in held.snapshots] for name, held in host.zfs.datasets.items()}


@dataclass
class Cut:
    """What happens to a controller at one of its calls, counted from 1; at call 0 nothing does.

    `failure` makes what is raised there, of the call's name. `Killed` is the process's end: whatever it calls after
    that is refused too. `calls` are the stage and the name of each call.
    """

    call: int = 0
    moment: Moment = Moment.BEFORE
    failure: Callable[[str], BaseException] = Killed
    calls: list[tuple[str, str]] = field(default_factory=list)
    raised: BaseException | None = None

    def begin(self, stage: str, name: str) -> bool:
        """Count a call; whether it is to fail after its effect. Raises when it fails before."""
        if isinstance(self.raised, Killed):
            raise Killed(f"{name}: dead since call {self.call}")
        self.calls.append((stage, name))
        now = len(self.calls) == self.call
        if now and self.moment is Moment.BEFORE:
            self.fail(name)
        return now

    def fail(self, name: str) -> None:
        """Fail now."""
        self.raised = self.failure(name)
        raise self.raised


@dataclass
class Listener(Silent):
    """Hears which stage begins, and keeps what is said."""

    stage: str = ""
    said: list[str] = field(default_factory=list)

    def say(self, message: str) -> None:
        self.said.append(message)
        if message.endswith(" …"):
            self.stage = message.removesuffix(" …")


class Controller:
    """A process that works on a day; its state directory is the day's, as that of one machine."""

    def __init__(self, day: Day, cut: Cut | None = None) -> None:
        self.day = day
        self.cut = cut or Cut()
        self.now = datetime(2026, 11, 24, tzinfo=UTC)
        self.listener = Listener()
        self.journal = Journal(self.listener, lambda: 0.0)
        self.receiver = self._receiver()
        self.fleet = VolumeFleet(self._wrapped("volumes", day.volumes), workers=1)

    def outside(self, name: str, act: Callable[[], T]) -> T:
        """Do something outside of the process: the one way for all of it."""
        fails = self.cut.begin(self.listener.stage, name)
        try:
            answer = act()
        finally:
            self.day.settle()
        if fails:
            self.cut.fail(name)
        return answer

    def back_up(self, now: datetime, key: Secret | None = POOL_KEY) -> ReplicationReport:
        """The daily run."""
        self.now = now
        return back_up(self.parts(), key, now, self.journal)

    def parts(self) -> BackupParts:
        """What the run works with."""
        site = cast("Host", Reached(self.outside, "site", self.day.site))
        at_site = Site(site, SOURCES, self.day.schedule)
        direct, striped, ssh = (Way(self, name) for name in ("direct", "striped", "ssh"))
        carrier = Chosen(self.day.mode, direct, striped, ssh, self.receiver.admitting, self._barrier, small=0)
        return BackupParts(
            site=at_site,
            upkeep=self.upkeep(),
            replicator=lambda host: Replicator(
                site, host, "cloud", carrier, Silent(), at_site.sent(lambda: self.now), lambda _seconds: None
            ),
        )

    def upkeep(self) -> UpkeepParts:
        """What work on the pool itself works with."""
        return UpkeepParts(
            design=self.day.design,
            zone=self.day.zone,
            instance_type=self.instance_type,
            seat=self._seat,
            fleet=self.fleet,
            receiver=self.receiver,
            attach=partial(self.attach, accept_degraded=True),
            cloud_pool=self.cloud_pool,
            members=lambda host: Members(host, self.day.design),
            scrub_age=timedelta(days=7),
            grace=self.day.grace,
            progress=self.listener,
        )

    def instance_type(self) -> InstanceType:
        """As the session's: what EC2 says of the configured type."""
        return self.outside("ec2 instance type", lambda: self.day.type)

    def cloud_pool(self, host: Host) -> CloudPool:
        """As the session's."""
        return CloudPool(host, self.day.design)

    def attach(self, *, accept_degraded: bool = False, condemned: frozenset[str] = frozenset()) -> list[Volume]:
        """As the session's: the pool's volumes, attached to the receiver that is up."""
        running, kind = self._running(), self.day.type
        return self.fleet.attached(running, kind, accept_degraded=accept_degraded, condemned=condemned)

    def _running(self) -> Instance:
        return next(each for each in self.receiver.status().instances if each.state is InstanceState.RUNNING)

    def _seat(self) -> tuple[str, InstanceType]:
        return self._running().id, self.day.type

    def create_pool(self, key: Secret | None = POOL_KEY) -> PoolStatus:
        """What the operator does once; like a session it ends with leaving the receiver."""
        kinds = (self.day.design, wish(self.day.design.layout), self.instance_type)
        parts = CreationParts(*kinds, self.fleet, self.receiver, self.attach, self.cloud_pool)
        try:
            return create_pool(parts, key, self.journal)
        finally:
            self.receiver.leave()

    def _barrier(self, host: Host) -> Barrier:
        """As the session's."""
        assert isinstance(host, ReceiverHost)

        def probed() -> Barrier:
            host.require_open()
            return Barrier(self.day.barrier)

        try:
            return self.outside("probe", probed)
        except Ec2zfsError as error:
            return Barrier(str(error), serves=False)

    def _receiver(self) -> Receiver:
        day = self.day
        cloud = ReceiverCloud(
            self._wrapped("instances", day.ec2),
            self._wrapped("group", day.group),
            instance_type=self.instance_type,
            image=lambda: self.outside("ec2 image", lambda: Image("ami-1", "debian", "arm64", "/dev/xvda", 8)),
            key_pair=lambda: self.outside("ec2 key pair", lambda: "key-1"),
            key_name=lambda: "key-1",
        )
        access = Access(
            cast("KnownHosts", day.pins),
            lambda instance: ReceiverHost(self, instance),
            lambda: self.outside("address service", lambda: ADDRESS),
        )
        terms = ReceiverTerms(WantedReceiver("cloud", day.type.name, day.zone, day.market), None, 22, 30, STREAMS)
        return Receiver(terms, cloud, access, self.listener, LIMITS)

    def _wrapped(self, name: str, inner: T) -> T:
        return cast("T", Wrapped(self.outside, f"ec2 {name}", inner))


@dataclass(frozen=True)
class Way:
    """A `Transport` of a controller: three moments of each stream are calls. A "direct" one needs open ports."""

    controller: Controller
    name: str

    def carry(
        self,
        sender: Stage,
        receiver: Stage,
        meter: Callable[[int], None],
        watch: Callable[[Line], None] = unwatched,
    ) -> None:
        """As `Transport.carry`."""
        host, day = receiver.host, self.controller.day
        assert isinstance(host, ReceiverHost)
        day.carried.append(self.name)
        reached = host.require_open if self.name == "direct" else host.require_answering

        def heard(moment: str) -> None:
            self.controller.outside(moment, reached)

        there = Stage(host.zfs, receiver.command)
        WorldTransport(heard).carry(Stage(day.site, sender.command), there, meter, watch)


class Wrapped:
    """The same object to look at, whose methods are calls to the outside."""

    def __init__(self, outside: Callable[[str, Callable[[], object]], object], name: str, inner: object) -> None:
        self._outside, self._name, self._inner = outside, name, inner

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        method = getattr(self._inner, name)
        return lambda *arguments, **named: self._outside(f"{self._name}.{name}", lambda: method(*arguments, **named))


class Reached:
    """A host whose commands are calls to the outside."""

    def __init__(self, outside: Callable[[str, Callable[[], Result]], Result], name: str, host: ZfsHost) -> None:
        self.name = name
        self._outside, self._host = outside, host

    def run(self, command: Command) -> Result:
        """As `Host.run`."""
        return self._outside(f"{self.name}: {told(command)}", lambda: self._host.run(command))


class ReceiverHost:
    """A connection to an instance: answers while that runs, is not dead, and its group lets the controller in."""

    def __init__(self, controller: Controller, instance: Instance) -> None:
        self.name = f"receiver {instance.id}"
        self._id = instance.id
        self._controller = controller
        self._day = controller.day
        self._system = Machine(self.name, self._day.facts, deaf=0)

    @property
    def zfs(self) -> ZfsHost:
        """ZFS there, which knows the copies only while the pool is imported."""
        return self._day.copies if self._day.machine.imported else ZfsHost("receiver")

    def run(self, command: Command) -> Result:
        """As `Host.run`."""
        return self._controller.outside(f"receiver: {told(command)}", lambda: self._answer(command))

    def require_answering(self) -> None:
        """Raise `HostError` when nobody could speak to it now."""
        up = self._day.ec2.all[self._id].state is InstanceState.RUNNING
        if not up or self._day.dead or SSH_RULE not in self._day.group.rules:
            raise HostError(f"{self.name} does not answer")

    def require_open(self) -> None:
        """Raise `HostError` when nobody could reach its ports for streams now."""
        self.require_answering()
        if STREAMS_RULE not in self._day.group.rules:
            raise HostError(f"{self.name} does not answer on its ports for streams")

    def close(self) -> None:
        """Nothing is kept open."""

    def exec_argv(self, command: Command) -> tuple[str, ...]:
        """As `Host.exec_argv`."""
        raise AssertionError(f"{command.argv} runs by Controller.carry only")

    def end(self, argv: object) -> None:
        """As `Host.end`."""

    def explain(self, command: Command, status: int, stderr: bytes) -> Exception:
        """As `Host.explain`."""
        return self.zfs.explain(command, status, stderr)

    def _answer(self, command: Command) -> Result:
        self.require_answering()
        if command.argv[0] == "flock":
            return self._day.machine.run(command)
        if command.argv[0] in ("zfs", "zstream") or told(command).startswith("zfs_"):
            return self.zfs.run(command)
        return self._system.run(command)


def told(command: Command) -> str:
    """A command in a few words: a script by its name."""
    words = command.argv
    return words[words.index("-c") + 2] if "-c" in words[:10] else " ".join(words[:2])
