"""The daily run: snapshot, stage, start the receiver, unlock, replicate, prune, check, lock, stop, prune. Each stage
plans on what it sees.

Whatever goes wrong, the pool is locked and the receiver stopped where the machine still answers. Nothing of a run is
needed by the next one, which looks at ZFS and EC2 and carries on. What it destroys are snapshots of its own that the
policies do not keep, and volumes that were replaced long enough ago.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from ec2zfs.errors import Ec2zfsError, PoolUnwell
from ec2zfs.execute.pruning import Pruned
from ec2zfs.execute.replication import Replicator
from ec2zfs.execute.replication_report import ReplicationReport
from ec2zfs.hosts.host import Host
from ec2zfs.hosts.secret import Secret
from ec2zfs.model.pool import PoolStatus
from ec2zfs.runs.receiver_up import receiver_up
from ec2zfs.runs.settling import settle
from ec2zfs.runs.snapshots import Site, taken
from ec2zfs.runs.stages import Journal, noted
from ec2zfs.runs.staging import Staging
from ec2zfs.runs.upkeep import UpkeepParts, replacement_under_way, require_volumes, unlocked

PRUNE = "prune the site"
PRUNE_COPIES = "prune the copies"
STAGE = "stage"
PRUNE_STAGING = "prune the staging pool"


@dataclass(frozen=True)
class BackupParts:
    """What a run works with. `replicator` is made for the receiver that the run has started.

    `staging`: what is encrypted before it is copied; None: nothing is.
    """

    site: Site
    upkeep: UpkeepParts
    replicator: Callable[[Host], Replicator]
    staging: Staging | None = None


def back_up(
    parts: BackupParts, key: Secret | None, now: datetime, journal: Journal, at_once: str | None = None
) -> ReplicationReport:
    """Do the whole run and return what replication did. `key` is the pool key, read before anything is started.

    The snapshots that are due are taken, or those of the one period `at_once`. Where the receiver cannot be taken, or
    could not have the volumes, that is raised before anything is changed: what is up then is left alone. A pool that
    has lost redundancy is backed up to all the same, and `PoolUnwell` raised in the end. A resilver that is under way
    is joined: the receiver is no spot instance then, and stays up until it ends. The site is pruned also when the far
    side failed, or its snapshots would pile up as long as that is down; a copy once it was brought to its end.
    What of staging failed is raised in the end: what is staged is copied all the same.
    """
    volumes, receiver = require_volumes(parts.upkeep), parts.upkeep.receiver
    on_demand = replacement_under_way(volumes)
    receiver.starting(on_demand=on_demand)
    with journal.stage("snapshot") as stage:
        stage.outcome = taken(parts.site.take_due(now, at_once))
    with (
        _staged(parts.staging, now, journal),
        _pruned_after(PRUNE, lambda: parts.site.prune(now), journal),
        receiver_up(receiver, journal, keep=False, on_demand=on_demand) as host,
        unlocked(parts.upkeep, host, (key, None), journal) as pool,
    ):
        with _pruned_after(PRUNE_COPIES, lambda: _prune_copies(parts, host, now, journal), journal):
            report = _replicated(parts, host, journal)
        settle(pool, volumes, journal)
        _check(pool.status(), journal)
    return report


@contextmanager
def _staged(staging: Staging | None, now: datetime, journal: Journal) -> Iterator[None]:
    """Stage before the block, and thin the staging pool after it, each as a stage. A failure to stage is raised after
    the block, when that did not fail itself."""
    if staging is None:
        yield
        return
    failed = None
    try:
        with journal.stage(STAGE) as stage:
            report = staging.stage(now)
            journal.warnings.extend(report.warnings)
            stage.outcome = str(report)
            report.raise_for_errors()
    except Ec2zfsError as failure:
        failed = failure
    with _pruned_after(PRUNE_STAGING, lambda: staging.prune(now), journal):
        yield
    if failed:
        raise failed


@contextmanager
def _pruned_after(name: str, prune: Callable[[], Pruned], journal: Journal) -> Iterator[None]:
    """Prune after the block, as a stage, whether the block failed or not; its own failure is the one to be told."""

    def stage() -> None:
        with journal.stage(name) as stage:
            pruned = prune()
            journal.warnings.extend(pruned.warnings)
            stage.outcome = str(pruned)

    try:
        yield
    except Ec2zfsError as failure:
        with noted(failure, name):
            stage()
        raise
    stage()


def _replicated(parts: BackupParts, host: Host, journal: Journal) -> ReplicationReport:
    with journal.stage("replicate") as stage:
        replicator = parts.replicator(host)
        report = journal.replicated = replicator.run(replicator.plan(replicator.observe(parts.site.sent_sources)))
        stage.outcome = f"{report.bytes:,} bytes in {report.steps} streams to {len(report.datasets)} datasets"
        if report.line:
            stage.outcome += f", {report.line}"
        if report.properties:
            stage.outcome += f", properties of {len(report.properties)} copies"
        journal.warnings.extend(report.warnings)
        report.raise_for_errors()
    return report


def _prune_copies(parts: BackupParts, host: Host, now: datetime, journal: Journal) -> Pruned:
    """Destroy what the policies do not keep in the pool; only of copies that this run has brought to their end."""
    reports = journal.replicated.datasets if journal.replicated else ()
    whole = {each.replica.target: each.replica.source for each in reports if not each.error}
    return parts.site.prune_copies(host, parts.upkeep.design.name, whole, now)


def _check(status: PoolStatus, journal: Journal) -> None:
    with journal.stage("check") as stage:
        if not status.healthy:
            words = f"{status.state}. {status.status}".rstrip()
            raise PoolUnwell(
                f"The copies are complete, but pool {status.name} is not well: {words}",
                hint="`ec2zfs pool status` shows which volume it is, `ec2zfs pool repair` mends it.",
            )
        stage.outcome = f"{status.state}, {status.free / 2**30:.1f} GiB raw free, no errors"
