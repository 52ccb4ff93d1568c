"""Replicates the datasets of a plan, several at a time, and notes what became of each.

What stops one dataset does not stop the others. Anything else, as a host that is gone or a pool that is full, stops
all: nothing more begins, what runs is ended, and what came first is raised.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from ec2zfs.errors import CommandFailed, Ec2zfsError, NoSpace, ReplicationConflict
from ec2zfs.execute.closing import check, mark
from ec2zfs.execute.crew import Crew
from ec2zfs.execute.holds import HoldKeeper
from ec2zfs.execute.line_watch import LineWatch
from ec2zfs.execute.replica_run import Ends, ReplicaRun
from ec2zfs.execute.replication_report import DatasetReport
from ec2zfs.model.replication import Replica
from ec2zfs.plan.conflicts import conflict_error
from ec2zfs.plan.replication import DatasetPlan, ReplicationPlan, is_below
from ec2zfs.plan.turns import begins, founded, next_turn


@dataclass
class ReplicaRuns:
    """The runs of all datasets, led by the thread that calls `run`. `meter` and `lines` hear in that thread alone."""

    crew: Crew
    ends: Ends
    keeper: HoldKeeper
    meter: Callable[[int], None]
    lines: LineWatch
    _waiting: dict[Replica, DatasetPlan] = field(default_factory=dict)
    _running: dict[Replica, DatasetPlan] = field(default_factory=dict)
    _unfinished: set[str] = field(default_factory=set)
    _reports: dict[Replica, DatasetReport] = field(default_factory=dict)
    _ended: dict[Replica, tuple[DatasetPlan, ReplicaRun, Ec2zfsError | None]] = field(default_factory=dict)
    _cause: BaseException | None = None

    def run(self, plan: ReplicationPlan) -> tuple[DatasetReport, ...]:
        """Run as many at a time as the crew has threads; the reports, in the plan's order. Raises what stops all."""
        self._waiting = {dataset.replica: dataset for dataset in plan.datasets}
        while self._waiting or self._running:
            while planned := self._next():
                self._begin(planned)
            if self._running:
                self.crew.listen()
            if self._cause:
                if isinstance(self._cause, NoSpace):
                    self._close()
                raise self._cause
        self._close()
        return tuple(self._reports[dataset.replica] for dataset in plan.datasets)

    def _next(self) -> DatasetPlan | None:
        free = len(self._running) < self.crew.size
        return next_turn(self._waiting.values(), self._running.values()) if free else None

    def _begin(self, planned: DatasetPlan) -> None:
        replica = planned.replica
        del self._waiting[replica]
        plan = self.keeper.left[replica].plan
        if is_below(replica.target, self._unfinished):
            self._reports[replica] = DatasetReport(replica, note="it waits for the first copy of its parent")
        elif plan.conflict:
            self._reports[replica] = DatasetReport(replica, error=conflict_error(plan.conflict))
        else:
            self._running[replica] = planned
            run = ReplicaRun(
                self.ends,
                plan,
                self.crew.handing_over(self.meter),
                self.crew.handing_over(partial(self.lines.hear, replica)),
                self.crew.handing_over(partial(self._found, replica)),
            )
            if plan.steps:
                self.crew.work(run.run, partial(self._end, planned, run))
            else:
                self._end(planned, run, None)

    def _found(self, replica: Replica, parent: str) -> None:
        self._running[replica] = founded(self._running[replica], parent)

    def _end(self, planned: DatasetPlan, run: ReplicaRun, failure: BaseException | None) -> None:
        replica = planned.replica
        del self._running[replica]
        self.keeper.leave(run.plan, run.renamed)
        if failure is None or isinstance(failure, CommandFailed | ReplicationConflict):
            self._ended[replica] = planned, run, failure
            if failure and begins(planned):
                self._unfinished.add(replica.target)
        else:
            self._cause = failure

    def _close(self) -> None:
        """Check what arrived and move the cursors, of all datasets together; then report on each."""
        wrong = check(self.ends.receiver, (run for _, run, _ in self._ended.values()))
        mark(self.ends.site, (run for replica, (_, run, _) in self._ended.items() if replica not in wrong))
        for replica, (planned, run, failure) in self._ended.items():
            self.keeper.leave(run.plan, None)
            failure = failure or wrong.get(replica)
            self._reports[replica] = DatasetReport(replica, tuple(run.sent), planned.note, tuple(run.warnings), failure)
