"""A run's journal, its report on disk, and its last words, for every command that is a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from ec2zfs.runs.report import RunReport, write_report
from ec2zfs.runs.stages import Journal

if TYPE_CHECKING:
    from ec2zfs.cli.session import Session


class Run:
    """A run of a command since a time; `report` is fixed when it is first asked for, which ends the run."""

    def __init__(self, session: Session, command: str, began: datetime) -> None:
        self.journal = Journal(session.output)
        self._session, self._command, self._began = session, command, began
        self._prices = session.prices  # a table that is wrong is told before the run
        self._file: str | None = None

    @cached_property
    def report(self) -> RunReport:
        """What the stages did, and what the receiver cost at most."""
        ended, chosen = datetime.now(UTC), self._session.configuration
        cost = self._prices.instance_run(chosen.receiver.instance_type, (ended - self._began).total_seconds())
        replicated = self.journal.replicated
        return RunReport(
            pool=self._session.pool,
            started=self._began,
            ended=ended,
            stages=tuple(self.journal.stages),
            bytes_sent=replicated.bytes if replicated else None,
            cost_usd=None if cost is None else float(cost),
            command=self._command,
            properties=tuple(map(str, replicated.properties)) if replicated else (),
            orphans=tuple(map(str, replicated.orphans)) if replicated else None,
            line=replicated.line if replicated else None,
            transport=replicated.transport if replicated else "",
        )

    def write(self) -> None:
        """Write the report. One that cannot be written is told, and hides nothing of the run."""
        try:
            self._file = str(write_report(self.report, self._session.configuration.paths.state / "reports"))
        except OSError as error:
            self._session.output.warn(f"The report of this run could not be written: {error}.")

    def show(self, heading: str, values: Mapping[str, object]) -> None:
        """Tell what the run came to: the values given, then time, cost and the report's file."""
        report = self.report
        self._session.output.result(
            heading,
            {
                **values,
                "seconds": round((report.ended - report.started).total_seconds(), 1),
                "receiver USD at most": None if report.cost_usd is None else round(report.cost_usd, 4),
                "prices": self._prices.caption,
                "report": self._file,
            },
        )


@contextmanager
def reported(session: Session, command: str, began: datetime) -> Iterator[Run]:
    """A run whose report is written however the block ends."""
    run = Run(session, command, began)
    try:
        yield run
    finally:
        run.write()
