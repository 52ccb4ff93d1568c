"""What replication did, dataset by dataset. A report: nothing is ever decided by it."""

from __future__ import annotations

from dataclasses import dataclass

from ec2zfs.errors import Ec2zfsError, ReplicationIncomplete
from ec2zfs.execute.line_watch import LineSummary
from ec2zfs.model.replication import Replica
from ec2zfs.plan.orphans import Orphan
from ec2zfs.plan.replication_steps import KeepProperties


@dataclass(frozen=True)
class Sent:
    """One stream that arrived: what it was in words, from which snapshot ("" for a full one) to which, in bytes."""

    words: str
    base: str
    to: str
    bytes: int


@dataclass(frozen=True)
class DatasetReport:
    """What became of one dataset. `warnings` are faults that did no harm, `error` is what kept it from its end."""

    replica: Replica
    sent: tuple[Sent, ...] = ()
    note: str = ""
    warnings: tuple[str, ...] = ()
    error: Ec2zfsError | None = None

    @property
    def bytes(self) -> int:
        """Stream bytes of all that arrived."""
        return sum(sent.bytes for sent in self.sent)

    @property
    def base(self) -> str:
        """The snapshot from which the copy was brought forward; "" when it began in full or nothing was sent."""
        return self.sent[0].base if self.sent else ""

    @property
    def to(self) -> str:
        """The newest snapshot that was sent, or ""."""
        return self.sent[-1].to if self.sent else ""


@dataclass(frozen=True)
class ReplicationReport:
    """What became of all datasets. `notices` are faults around them that did no harm, `properties` what copies got.

    `orphans` are copies whose sources do not exist any more. `transport` says how streams travelled, and why so;
    `line`, what their way was like, where that is known.
    """

    datasets: tuple[DatasetReport, ...]
    notices: tuple[str, ...] = ()
    properties: tuple[KeepProperties, ...] = ()
    orphans: tuple[Orphan, ...] = ()
    transport: str = ""
    line: LineSummary | None = None

    @property
    def bytes(self) -> int:
        """Stream bytes of all that arrived."""
        return sum(dataset.bytes for dataset in self.datasets)

    @property
    def steps(self) -> int:
        """Streams that arrived."""
        return sum(len(dataset.sent) for dataset in self.datasets)

    @property
    def errors(self) -> tuple[DatasetReport, ...]:
        """The datasets that were not finished."""
        return tuple(dataset for dataset in self.datasets if dataset.error)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Faults that did no harm to any copy."""
        return (*self.notices, *(warning for dataset in self.datasets for warning in dataset.warnings))

    def raise_for_errors(self) -> None:
        """Raise what kept datasets from being finished: the error itself, or one that names them all."""
        if len(self.errors) == 1 and self.errors[0].error:
            raise self.errors[0].error
        if self.errors:
            words = " ".join(f"{dataset.replica.source}: {dataset.error}" for dataset in self.errors)
            raise ReplicationIncomplete(
                f"{len(self.errors)} of {len(self.datasets)} datasets were not replicated. {words}"
            )
