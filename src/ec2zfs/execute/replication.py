"""Replication of all sources to the cloud pool: observe both sides, plan, carry the plan out.

What stops one dataset does not stop the others; what stops the hosts or fills the pool stops all. It never rolls a
target back, and destroys nothing but partial streams and cursor bookmarks of our own. Copies are renamed with sources.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ec2zfs.execute.carrier import Carriage, Carrier, Fixed
from ec2zfs.execute.copies import ready_copies
from ec2zfs.execute.crew import Crew, side_by_side
from ec2zfs.execute.holds import HoldKeeper
from ec2zfs.execute.line_watch import LineWatch
from ec2zfs.execute.progress import Progress, Silent
from ec2zfs.execute.properties import keep_properties, seen_properties, withdraw_notes, write_notes
from ec2zfs.execute.replica_run import Ends
from ec2zfs.execute.replica_runs import ReplicaRuns
from ec2zfs.execute.replication_report import ReplicationReport
from ec2zfs.execute.replication_state import listed, pool_look, pool_note, source_datasets, source_look, with_token
from ec2zfs.hosts import halting
from ec2zfs.hosts.host import Host
from ec2zfs.model.replication import ReplicationState, target_name
from ec2zfs.model.source import Source
from ec2zfs.plan.cursors import expected_state
from ec2zfs.plan.properties import with_properties
from ec2zfs.plan.replication import ReplicationPlan, plan_replication, require_space
from ec2zfs.plan.replication_steps import Transfer
from ec2zfs.plan.selection import Selection
from ec2zfs.plan.settled import known_to_be_alone, notes, outdated, settled
from ec2zfs.plan.zfs_gate import require_receiver, require_source
from ec2zfs.tools.zfs_streams import sizes
from ec2zfs.transport.ssh import SshTransport

NOTHING_TO_CARRY = Fixed(Carriage(SshTransport()))


@dataclass(frozen=True)
class Replicator:
    """Brings the copies in a pool on the receiver up to what the site has, as far as they are to keep it.

    `carrier` has its streams carried, `streams` is how many datasets are replicated at once, `pause` waits that many
    seconds.
    """

    site: Host
    receiver: Host
    pool: str
    carrier: Carrier
    progress: Progress
    selection: Selection
    pause: Callable[[float], None] = halting.pause
    streams: int = 1

    def observe(self, sources: Sequence[Source], *, thorough: bool = False) -> ReplicationState:
        """Both sides as they are; the pool must be imported on the receiver. `thorough`: whatever a run noted before.

        Raises `Refused` when the ZFS of one of them is so old that it would damage what is sent.
        """
        ours, note = side_by_side(lambda: source_look(self.site, sources), lambda: pool_note(self.receiver, self.pool))
        require_source(self.site.name, ours.version)
        keeps, now = self.selection.rules(ours.sightings), self.selection.now()
        alone = frozenset[str]() if thorough else known_to_be_alone(self.pool, keeps, note, now)
        theirs = pool_look(self.receiver, self.pool, alone)
        require_receiver(self.receiver.name, theirs.version)
        pairs = {} if thorough else settled(self.pool, ours, theirs, keeps, now)
        known = {source.name: source for source, _ in pairs.values()}
        copies = {copy.name: copy for _, copy in pairs.values()}
        open_copies = {target_name(self.pool, name) for name in keeps} if pairs else theirs.sightings.keys()
        sources_seen, found = side_by_side(
            lambda: listed(self.site, ours, known, keeps),
            lambda: listed(self.receiver, theirs, copies, open_copies),
        )
        targets = tuple(with_token(self.site, target) for target in found)
        return ReplicationState(
            self.pool,
            sources_seen,
            targets,
            theirs.available[self.pool],
            {name: each.identity for name, each in theirs.sightings.items() if each.identity},
            seen_properties(
                self.site,
                [each for each in sources_seen if each.name in keeps and each.name not in known],
                self.receiver,
                [each for each in targets if each.name in open_copies and each.name not in copies],
            ),
            covered=tuple(sources),
            looks=(ours, theirs),
            settled=frozenset(pairs),
        )

    def plan(self, state: ReplicationState) -> ReplicationPlan:
        """What is to be done, with the size of each stream."""
        plan = with_properties(state, plan_replication(self.selection.among(state)))
        keeps = self.selection.rules(each.name for each in state.sources)
        written = notes(state, plan, keeps, self.selection.now())
        return _sized(self.site, replace(plan, notes=written, outdated=outdated(state, keeps)))

    def run(self, plan: ReplicationPlan) -> ReplicationReport:
        """Carry the plan out and report on every dataset; the report's `raise_for_errors()` raises what was left out.

        Raises `NoSpace` before anything is sent when the streams would not fit, and later when the pool is full all the
        same; `HostError` when a host is gone.
        """
        require_space(plan)
        withdraw_notes(self.receiver, plan.outdated)
        total = None if any(transfer.bytes is None for transfer in plan.transfers) else plan.bytes
        listener = self.progress if plan.transfers else Silent()
        keeper = HoldKeeper(self.site, self.receiver, self.pool)
        carrier = self.carrier if any(dataset.steps for dataset in plan.datasets) else NOTHING_TO_CARRY
        with (
            keeper.holding(plan),
            carrier.ready(self.receiver, [transfer.bytes for transfer in plan.transfers]) as carriage,
            listener.bar("replicate", total, "B") as bar,
            Crew(self.streams) as crew,
        ):
            if carriage.words:
                self.progress.say(carriage.words)
            notices = ready_copies(self.receiver, plan, keeper, self.progress)
            say = crew.handing_over(self.progress.say)
            ends = Ends(self.site, self.receiver, carriage, say, self.selection, self.pause)
            lines = LineWatch(bar.measure)
            reports = ReplicaRuns(crew, ends, keeper, bar.advance, lines).run(plan)
        kept = keep_properties(self.receiver, plan, reports, self.progress)
        write_notes(self.receiver, plan)
        notices = (*notices, *keeper.warnings, *kept.warnings)
        return ReplicationReport(reports, notices, kept.changes, plan.orphans, carriage.words, lines.summary)


def preview(site: Host, sources: Sequence[Source], pool: str, selection: Selection) -> ReplicationPlan:
    """What the next replication would send, judged from the site alone while the receiver is down and the pool locked.

    The site's cursor bookmarks tell what the pool has; the changes since the newest snapshot are `unsent_bytes` of each
    dataset.
    """
    state = expected_state(pool, source_datasets(site, sources))
    state = replace(state, properties=seen_properties(site, state.sources))
    return _sized(site, with_properties(state, plan_replication(selection.among(state))))


def _sized(site: Host, plan: ReplicationPlan) -> ReplicationPlan:
    known = iter(sizes(site, plan.transfers))
    return replace(
        plan,
        datasets=tuple(
            replace(
                dataset,
                steps=tuple(
                    replace(step, bytes=next(known)) if isinstance(step, Transfer) else step for step in dataset.steps
                ),
            )
            for dataset in plan.datasets
        ),
    )
