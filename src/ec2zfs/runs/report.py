"""The report of a run: what each stage did, how long it took and how it ended. Written for people and monitoring; never
read back to decide anything (lose it and nothing is lost).
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from ec2zfs.execute.line_watch import LineSummary


@dataclass(frozen=True)
class StageReport:
    """One stage of a run: its name, seconds, and a line on what it did or why it failed. Times are UTC."""

    name: str
    seconds: float
    outcome: str
    failed: bool = False
    started: datetime | None = field(default=None, compare=False)
    ended: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True)
class RunReport:
    """One run of a `command` such as `backup`. `bytes_sent`: of streams, None when replication did not come to its end.

    `cost_usd` is the estimate for the machine's time of this run, None without a known price. `properties` are what was
    set on copies or inherited there again, a sentence for each copy. `orphans` tell of copies whose sources do not
    exist any more, a sentence each; None when replication did not come to its end. `transport` says how streams
    travelled, and why so; "" when there were none. `line`: what their way was like (`LineSummary`), None where nothing
    of it was measured.
    """

    pool: str
    started: datetime
    ended: datetime
    stages: tuple[StageReport, ...]
    bytes_sent: int | None
    cost_usd: float | None
    command: str = "backup"
    properties: tuple[str, ...] = ()
    orphans: tuple[str, ...] | None = None
    transport: str = ""
    line: LineSummary | None = None

    @property
    def clean(self) -> bool:
        """Whether every stage succeeded."""
        return not any(stage.failed for stage in self.stages)

    def document(self) -> dict[str, Any]:
        """The report as plain JSON types."""
        return {**_plain(dataclasses.asdict(self)), "clean": self.clean}


def _plain(value: Any) -> Any:  # noqa: ANN401 - JSON is of any form
    match value:
        case datetime():
            return value.isoformat(timespec="seconds")
        case dict():
            return {name: _plain(each) for name, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case _:
            return value


def write_report(report: RunReport, directory: Path) -> Path:
    """Write the report as JSON under its start time and return the file."""
    directory.mkdir(parents=True, exist_ok=True)
    target = directory / f"{report.started:%Y-%m-%dT%H%M%SZ}-{report.pool}.json"
    unfinished = target.with_suffix(".part")
    unfinished.write_text(json.dumps(report.document(), indent=2) + "\n")
    unfinished.replace(target)
    return target
