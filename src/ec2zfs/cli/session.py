"""The composition root: makes what a verb works with out of the configuration, each part when it is first asked for.

The one place that knows which class stands behind which seam. It decides nothing about pools or machines.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from ec2zfs.cli.output import Output, chosen_output
from ec2zfs.cli.places import configuration_path
from ec2zfs.config import Configuration, load

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

    from ec2zfs.cloud.prices import Prices
    from ec2zfs.cloud.session import Aws
    from ec2zfs.execute.carrier import Carrier
    from ec2zfs.execute.members import Members
    from ec2zfs.execute.pool import CloudPool
    from ec2zfs.execute.receiver import Receiver
    from ec2zfs.execute.replication import Replicator
    from ec2zfs.execute.volumes import VolumeFleet
    from ec2zfs.hosts.host import Host
    from ec2zfs.hosts.known_hosts import KnownHosts
    from ec2zfs.hosts.secret import Secret
    from ec2zfs.model.instance import Instance, InstanceType
    from ec2zfs.model.policy import Schedule
    from ec2zfs.model.pool import PoolDesign
    from ec2zfs.model.source import Source
    from ec2zfs.model.volume import Volume
    from ec2zfs.plan.replacement import Caution, Want
    from ec2zfs.runs.creation import CreationParts
    from ec2zfs.runs.snapshots import Site, StandIns
    from ec2zfs.runs.staging import Staging
    from ec2zfs.runs.upkeep import UpkeepParts


@contextmanager
def session(arguments: argparse.Namespace) -> Iterator[Session]:
    """The session for a command line; its connections are closed at the end of the `with` block."""
    configuration = load(configuration_path(arguments.config))
    with ExitStack() as connections:
        yield Session(configuration, chosen_output(arguments), connections)


class Session:
    """One command's parts. `connections` is where what must be closed in the end is left."""

    def __init__(self, configuration: Configuration, output: Output, connections: ExitStack) -> None:
        self.configuration = configuration
        self.output = output
        self._connections = connections

    @property
    def pool(self) -> str:
        """The name of the cloud pool."""
        return self.configuration.pool.name

    @property
    def design(self) -> PoolDesign:
        """The cloud pool as it was asked for."""
        return self.configuration.design

    @property
    def sources(self) -> tuple[Source, ...]:
        """What is to be safe."""
        from ec2zfs.model.source import Source

        return tuple(Source(each.dataset, each.recursive) for each in self.configuration.sources)

    @cached_property
    def aws(self) -> Aws:
        """The connection to AWS; makes no call."""
        from ec2zfs.cloud.session import Aws

        section = self.configuration.aws
        return Aws(section.region, section.profile, section.endpoint_url)

    @property
    def ec2(self) -> EC2Client:
        """The EC2 client. Raises `CredentialsError` when there are no credentials."""
        return self.aws.ec2()

    @cached_property
    def prices(self) -> Prices:
        """The dated price table. Raises `ConfigurationError` when the operator's own is wrong."""
        from ec2zfs.cloud.prices import load_prices

        return load_prices(self.configuration.paths.prices)

    @cached_property
    def fleet(self) -> VolumeFleet:
        """The pool's volumes."""
        from ec2zfs.cloud.volumes import Volumes
        from ec2zfs.execute.volumes import VolumeFleet

        return VolumeFleet(Volumes(self.ec2, self.pool), self.output)

    @cached_property
    def known_hosts(self) -> KnownHosts:
        """The pinned host keys of receivers."""
        from ec2zfs.hosts.known_hosts import KnownHosts

        return KnownHosts(self.configuration.known_hosts)

    @cached_property
    def site(self) -> Host:
        """The file server."""
        from ec2zfs.cli.connections import site

        return self._connections.enter_context(site(self.configuration))

    @property
    def schedule(self) -> Schedule:
        """When snapshots are due, and which stay."""
        from ec2zfs.model.policy import Schedule

        chosen = self.configuration
        return Schedule(chosen.snapshots.time_zone, chosen.periods, tuple(each.rule for each in chosen.policies))

    @property
    def file_server(self) -> Site:
        """The site with what is to be safe there."""
        from functools import partial

        from ec2zfs.execute.hooks import Hooks
        from ec2zfs.runs.lock import site_lock
        from ec2zfs.runs.snapshots import Site

        section = self.configuration.snapshots
        hooks = Hooks(section.before, section.after, section.hook_seconds)
        lock = partial(site_lock, self.configuration.paths.state)
        return Site(self.site, self.sources, self.schedule, hooks, lock, self._stand_ins())

    @property
    def staged_sources(self) -> tuple[Source, ...]:
        """What of the sources is staged; nothing where there is no staging dataset."""
        from ec2zfs.model.source import Source

        sources = self.configuration.sources if self.configuration.staging.dataset else ()
        return tuple(Source(each.dataset, each.recursive) for each in sources if each.staged)

    @cached_property
    def staging(self) -> Staging | None:
        """The staging pool; None where nothing is staged. Asks nobody yet."""
        from datetime import timedelta
        from functools import cache, partial

        from ec2zfs.cli.staging_terms import staging_terms
        from ec2zfs.execute.staging import EncryptedFolders, Stager
        from ec2zfs.runs.lock import site_lock, staging_lock
        from ec2zfs.runs.staging import Staging

        section = self.configuration.staging
        if section.dataset is None or not self.staged_sources:
            return None
        folders = EncryptedFolders(cache(partial(staging_terms, self.configuration)))
        stager = Stager(self.site, section.dataset, folders, self.output)
        state, every = self.configuration.paths.state, timedelta(days=section.full_walk_days)
        locks = partial(staging_lock, state), partial(site_lock, state)
        return Staging(stager, self.staged_sources, self.schedule, every, *locks)

    def _stand_ins(self) -> StandIns | None:
        from ec2zfs.runs.snapshots import StandIns

        staging = self.staging
        return StandIns(staging.root, staging.sources, staging.names) if staging else None

    @cached_property
    def receiver(self) -> Receiver:
        """The pool's receiver, up or not."""
        from ec2zfs.cli.connections import receiver

        return receiver(self.configuration, self.ec2, self.output, self._connections)

    def running_receiver(self) -> Instance:
        """The instance that is up. Raises `HostError` when none is."""
        from ec2zfs.errors import HostError
        from ec2zfs.model.instance import InstanceState

        instances = self.receiver.status().instances
        running = next((each for each in instances if each.state is InstanceState.RUNNING), None)
        if running is None:
            raise HostError(f"No receiver of pool {self.pool} is running.", hint="Start it: `ec2zfs instance start`.")
        return running

    def attached_volumes(
        self, *, accept_degraded: bool = False, condemned: frozenset[str] = frozenset()
    ) -> list[Volume]:
        """The pool's volumes that are attached to the receiver that is up, after those were that can be.

        `accept_degraded` and `condemned` are as `VolumeFleet.attached` takes them.
        """
        receiver = self.running_receiver()
        return self.fleet.attached(
            receiver, self.type_of(receiver), accept_degraded=accept_degraded, condemned=condemned
        )

    def type_of(self, instance: Instance) -> InstanceType:
        """What EC2 says of an instance's type."""
        from ec2zfs.cloud.instance_types import instance_type

        return instance_type(self.ec2, instance.type)

    def configured_type(self) -> InstanceType:
        """What EC2 says of the configured instance type."""
        from ec2zfs.cloud.instance_types import instance_type

        return instance_type(self.ec2, self.configuration.receiver.instance_type)

    @property
    def creation(self) -> CreationParts:
        """What the making of the pool works with."""
        from ec2zfs.plan.volumes import VolumeWish
        from ec2zfs.runs.creation import CreationParts

        chosen = self.configuration
        return CreationParts(
            design=self.design,
            wish=VolumeWish(self.pool, chosen.layout, chosen.volumes.type, chosen.aws.zone),
            instance_type=self.configured_type,
            fleet=self.fleet,
            receiver=self.receiver,
            attach=self.attached_volumes,
            cloud_pool=self.cloud_pool,
        )

    @property
    def upkeep(self) -> UpkeepParts:
        """What work on the pool itself works with."""
        from datetime import timedelta
        from functools import partial

        from ec2zfs.runs.upkeep import UpkeepParts

        section = self.configuration.upkeep
        return UpkeepParts(
            design=self.design,
            zone=self.configuration.aws.zone,
            instance_type=self.configured_type,
            seat=self.seat,
            fleet=self.fleet,
            receiver=self.receiver,
            attach=partial(self.attached_volumes, accept_degraded=True),
            cloud_pool=self.cloud_pool,
            members=self.members,
            scrub_age=timedelta(days=section.scrub_days),
            grace=timedelta(days=section.grace_days),
            progress=self.output,
        )

    def want(self, size_gib: int | None = None, volume_type: str | None = None) -> Want:
        """What each volume is to be: what is asked for, else what the configuration says."""
        from ec2zfs.plan.replacement import Want

        section = self.configuration.volumes
        return Want(size_gib or section.size_gib, volume_type or section.type, self.configuration.aws.zone)

    def caution(self, *, accept_degraded: bool = False) -> Caution:
        """How much may be risked when volumes are replaced."""
        from ec2zfs.plan.replacement import Caution

        return Caution(self.upkeep.scrub_age, accept_degraded)

    def seat(self) -> tuple[str, InstanceType]:
        """The receiver that is up, by its id, and what EC2 says of its type."""
        receiver = self.running_receiver()
        return receiver.id, self.type_of(receiver)

    def members(self, host: Host) -> Members:
        """What works on the pool's members on the receiver `host`."""
        from ec2zfs.execute.members import Members

        return Members(host, self.design, self.output)

    def cloud_pool(self, host: Host) -> CloudPool:
        """The cloud pool on the receiver `host`."""
        from ec2zfs.execute.pool import CloudPool

        return CloudPool(host, self.design, self.output)

    @property
    def carrier(self) -> Carrier:
        """What carries streams between the site and the receiver."""
        from ec2zfs.cli.connections import carrier

        return carrier(self.configuration, self.receiver, self.site)

    def replicator(self, host: Host) -> Replicator:
        """What replicates from the site to the receiver `host`."""
        from datetime import UTC, datetime

        from ec2zfs.execute.replication import Replicator

        selection = self.file_server.sent(lambda: datetime.now(UTC))
        streams = self.configuration.replication.streams
        return Replicator(self.site, host, self.pool, self.carrier, self.output, selection, streams=streams)

    def pool_key(self, *, new: bool = False) -> Secret | None:
        """Ask for the pool key as configured; None for a pool without encryption. `new`: for a pool yet to be made."""
        from ec2zfs.cli.pool_key import read_pool_key
        from ec2zfs.hosts.local import LocalHost

        if not self.configuration.pool.encryption:
            return None
        return read_pool_key(self.configuration.pool_key, LocalHost(), self.pool, new=new)

    def lock(self) -> AbstractContextManager[None]:
        """The pool's lock on this machine, for whatever changes the pool. Raises `AlreadyRunning`."""
        from ec2zfs.runs.lock import run_lock

        return run_lock(self.configuration.paths.state, self.pool)
