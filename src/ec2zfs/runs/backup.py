"""The daily run: snapshot, start the receiver, unlock, replicate, check, lock, stop. Each stage plans on what it sees.

Whatever goes wrong, the pool is locked and the receiver stopped where the machine still answers. Nothing of a run is
needed by the next one, which looks at ZFS and EC2 and carries on. It destroys no snapshot and no volume.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from ec2zfs.errors import PoolUnwell
from ec2zfs.execute.replication import Replicator
from ec2zfs.execute.replication_report import ReplicationReport
from ec2zfs.execute.snapshots import take
from ec2zfs.hosts.host import Host
from ec2zfs.hosts.secret import Secret
from ec2zfs.model.pool import PoolStatus
from ec2zfs.model.source import Source
from ec2zfs.runs.receiver_up import receiver_up
from ec2zfs.runs.settling import settle
from ec2zfs.runs.stages import Journal
from ec2zfs.runs.upkeep import UpkeepParts, replacement_under_way, require_volumes, unlocked


@dataclass(frozen=True)
class BackupParts:
    """What a run works with. `replicator` is made for the receiver that the run has started."""

    site: Host
    sources: tuple[Source, ...]
    upkeep: UpkeepParts
    replicator: Callable[[Host], Replicator]


def back_up(parts: BackupParts, key: Secret | None, now: datetime, journal: Journal) -> ReplicationReport:
    """Do the whole run and return what replication did. `key` is the pool key, read before anything is started.

    Where the receiver cannot be taken, or could not have the volumes, that is raised before anything is changed: what
    is up then is left alone. A pool that has lost redundancy is backed up to all the same, and `PoolUnwell` raised in
    the end. A resilver that is under way is joined: the receiver is no spot instance then, and stays up until it ends.
    """
    volumes, receiver = require_volumes(parts.upkeep), parts.upkeep.receiver
    on_demand = replacement_under_way(volumes)
    receiver.starting(on_demand=on_demand)
    with journal.stage("snapshot") as stage:
        taken = take(parts.site, parts.sources, now)
        stage.outcome = f"took {taken.name} of {len(taken.created)} sources"
    with (
        receiver_up(receiver, journal, keep=False, on_demand=on_demand) as host,
        unlocked(parts.upkeep, host, (key, None), journal) as pool,
    ):
        report = _replicated(parts, host, journal)
        settle(pool, volumes, journal)
        _check(pool.status(), journal)
    return report


def _replicated(parts: BackupParts, host: Host, journal: Journal) -> ReplicationReport:
    with journal.stage("replicate") as stage:
        replicator = parts.replicator(host)
        report = journal.replicated = replicator.run(replicator.plan(replicator.observe(parts.sources)))
        stage.outcome = f"{report.bytes:,} bytes in {report.steps} streams to {len(report.datasets)} datasets"
        report.raise_for_errors()
    return report


def _check(status: PoolStatus, journal: Journal) -> None:
    with journal.stage("check") as stage:
        if not status.healthy:
            words = f"{status.state}. {status.status}".rstrip()
            raise PoolUnwell(
                f"The copies are complete, but pool {status.name} is not well: {words}",
                hint="`ec2zfs pool status` shows which volume it is, `ec2zfs pool repair` mends it.",
            )
        stage.outcome = f"{status.state}, {status.free / 2**30:.1f} GiB raw free, no errors"
