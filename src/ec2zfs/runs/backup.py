"""The daily run: snapshot, start the receiver, unlock, replicate, check, lock, stop. Each stage plans on what it sees.

Whatever goes wrong, the pool is locked and the receiver stopped where the machine still answers. Nothing of a run is
needed by the next one, which looks at ZFS and EC2 and carries on. It destroys no snapshot and no volume.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from ec2zfs.errors import PoolUnwell, Refused
from ec2zfs.execute.pool import CloudPool
from ec2zfs.execute.receiver import Receiver
from ec2zfs.execute.replication import Replicator
from ec2zfs.execute.replication_report import ReplicationReport
from ec2zfs.execute.snapshots import take
from ec2zfs.execute.volumes import VolumeFleet
from ec2zfs.hosts.host import Host
from ec2zfs.hosts.secret import Secret
from ec2zfs.model.instance import InstanceType
from ec2zfs.model.source import Source
from ec2zfs.model.volume import Volume
from ec2zfs.plan.volumes import require_usable
from ec2zfs.runs.stages import Journal


@dataclass(frozen=True)
class BackupParts:
    """What a run works with. `cloud_pool` and `replicator` are made for the receiver that the run has started.

    `zone` and `instance_type` are the configured ones of the receiver; `attach` brings the pool's volumes to the
    receiver that was started and returns them.
    """

    pool: str
    zone: str
    instance_type: Callable[[], InstanceType]
    site: Host
    sources: tuple[Source, ...]
    receiver: Receiver
    fleet: VolumeFleet
    attach: Callable[[], Sequence[Volume]]
    cloud_pool: Callable[[Host], CloudPool]
    replicator: Callable[[Host], Replicator]


def back_up(parts: BackupParts, key: Secret | None, now: datetime, journal: Journal) -> ReplicationReport:
    """Do the whole run and return what replication did. `key` is the pool key, read before anything is started.

    Where the receiver cannot be taken, or could not have the volumes, that is raised before anything is changed: what
    is up then is left alone.
    """
    require_volumes(parts)
    parts.receiver.starting()
    with journal.stage("snapshot") as stage:
        taken = take(parts.site, parts.sources, now)
        stage.outcome = f"took {taken.name} of {len(taken.created)} sources"
    with _receiver_up(parts, journal) as host, _pool_open(parts, host, key, journal) as pool:
        report = _replicated(parts, host, journal)
        _check(pool, journal)
    return report


def require_volumes(parts: BackupParts) -> list[Volume]:
    """The pool's volumes; `Refused` when there are none or the receiver could not have them, before it is started."""
    volumes = parts.fleet.volumes()
    if not volumes:
        raise Refused(
            f"There are no volumes of pool {parts.pool} at EC2, so there is nothing to back up to.",
            hint="Make the pool with `ec2zfs pool create`, or correct pool.name, aws.region or the credentials.",
        )
    require_usable(volumes, parts.zone, parts.instance_type())
    return volumes


@contextmanager
def _receiver_up(parts: BackupParts, journal: Journal) -> Iterator[Host]:
    with journal.undone_by("stop the receiver", parts.receiver.stop):
        with journal.stage("start the receiver") as stage:
            host = parts.receiver.start()
            stage.outcome = f"{host.name} answers"
        with parts.receiver.dead_man(host):
            yield host


@contextmanager
def _pool_open(parts: BackupParts, host: Host, key: Secret | None, journal: Journal) -> Iterator[CloudPool]:
    pool = parts.cloud_pool(host)
    with journal.undone_by("lock the pool", pool.lock):
        with journal.stage("unlock the pool") as stage:
            volumes = parts.attach()
            pool.unlock(key, volumes)
            stage.outcome = f"{len(volumes)} volumes attached and open, {parts.pool} imported"
        yield pool


def _replicated(parts: BackupParts, host: Host, journal: Journal) -> ReplicationReport:
    with journal.stage("replicate") as stage:
        replicator = parts.replicator(host)
        report = journal.replicated = replicator.run(replicator.plan(replicator.observe(parts.sources)))
        stage.outcome = f"{report.bytes:,} bytes in {report.steps} streams to {len(report.datasets)} datasets"
        report.raise_for_errors()
    return report


def _check(pool: CloudPool, journal: Journal) -> None:
    with journal.stage("check") as stage:
        status = pool.status()
        if not status.healthy:
            words = f"{status.state}. {status.status}".rstrip()
            raise PoolUnwell(
                f"The copies are complete, but pool {status.name} is not well: {words}",
                hint="`ec2zfs pool status` shows which volume it is.",
            )
        stage.outcome = f"{status.state}, {status.free / 2**30:.1f} GiB raw free, no errors"
