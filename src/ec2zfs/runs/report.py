"""The report of a run: what each stage did, how long it took and how it ended. Written for people and monitoring; never
read back to decide anything (lose it and nothing is lost).
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path


@dataclass(frozen=True)
class StageReport:
    """One stage of a run: its name, seconds, and a line on what it did or why it failed."""

    name: str
    seconds: float
    outcome: str
    failed: bool = False


@dataclass(frozen=True)
class RunReport:
    """One run. `bytes_sent` counts stream bytes, None when replication did not come to its end.

    `cost_usd` is the estimate for the machine's time of this run, None without a known price.
    """

    pool: str
    started: datetime
    ended: datetime
    stages: tuple[StageReport, ...]
    bytes_sent: int | None
    cost_usd: float | None

    @property
    def clean(self) -> bool:
        """Whether every stage succeeded."""
        return not any(stage.failed for stage in self.stages)

    def document(self) -> dict[str, Any]:
        """The report as plain JSON types."""
        plain = dataclasses.asdict(self)
        return plain | {"started": self.started.isoformat(), "ended": self.ended.isoformat(), "clean": self.clean}


def write_report(report: RunReport, directory: Path) -> Path:
    """Write the report as JSON under its start time and return the file."""
    directory.mkdir(parents=True, exist_ok=True)
    target = directory / f"{report.started:%Y-%m-%dT%H%M%SZ}-{report.pool}.json"
    unfinished = target.with_suffix(".part")
    unfinished.write_text(json.dumps(report.document(), indent=2) + "\n")
    unfinished.replace(target)
    return target
