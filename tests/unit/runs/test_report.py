"""The report of a run: one JSON file, whole or not there."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ec2zfs.runs.report import RunReport, StageReport, write_report

BEGAN, ENDED = datetime(2026, 11, 24, 2, 17, 0, tzinfo=UTC), datetime(2026, 11, 24, 2, 17, 1, tzinfo=UTC)
REPORT = RunReport(
    pool="cloud",
    started=datetime(2026, 11, 24, 2, 17, 0, tzinfo=UTC),
    ended=datetime(2026, 11, 24, 2, 29, 30, tzinfo=UTC),
    stages=(
        StageReport("snapshot", 1.5, "took one", started=BEGAN, ended=ENDED),
        StageReport("replicate", 60.0, "4 bytes"),
    ),
    bytes_sent=4,
    cost_usd=0.01,
)


def test_the_file_holds_the_whole_report_under_its_time_and_pool(tmp_path: Path) -> None:
    written = write_report(REPORT, tmp_path / "state" / "reports")
    assert written == tmp_path / "state" / "reports" / "2026-11-24T021700Z-cloud.json"
    assert json.loads(written.read_text()) == {
        "pool": "cloud",
        "started": "2026-11-24T02:17:00+00:00",
        "ended": "2026-11-24T02:29:30+00:00",
        "stages": [
            {
                "name": "snapshot",
                "seconds": 1.5,
                "outcome": "took one",
                "failed": False,
                "started": "2026-11-24T02:17:00+00:00",
                "ended": "2026-11-24T02:17:01+00:00",
            },
            {
                "name": "replicate",
                "seconds": 60.0,
                "outcome": "4 bytes",
                "failed": False,
                "started": None,
                "ended": None,
            },
        ],
        "bytes_sent": 4,
        "cost_usd": 0.01,
        "command": "backup",
        "properties": [],
        "orphans": None,
        "transport": "",
        "line": None,
        "clean": True,
    }
    assert list(written.parent.iterdir()) == [written]


def test_a_run_with_a_failed_stage_is_not_clean_and_what_is_not_known_is_null() -> None:
    failed = replace(REPORT.stages[1], failed=True)
    report = replace(REPORT, stages=(REPORT.stages[0], failed), bytes_sent=None, cost_usd=None)
    document = report.document()
    assert (document["clean"], document["bytes_sent"], document["cost_usd"]) == (False, None, None)


def test_a_report_that_cannot_be_finished_leaves_the_one_before_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = write_report(REPORT, tmp_path)
    before = written.read_text()

    def full(path: Path, text: str) -> int:
        path.write_bytes(text[:40].encode())
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        write_report(replace(REPORT, bytes_sent=5), tmp_path)
    assert written.read_text() == before
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".part"]


def test_a_pool_with_dots_in_its_name_has_its_own_file(tmp_path: Path) -> None:
    names = [write_report(replace(REPORT, pool=pool), tmp_path).name for pool in ("my.pool", "my.other")]
    assert names == ["2026-11-24T021700Z-my.pool.json", "2026-11-24T021700Z-my.other.json"]
