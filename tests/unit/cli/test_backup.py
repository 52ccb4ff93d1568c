"""`ec2zfs backup` from the command line to the imagined world: what it prints, writes and exits with."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest
from tests.fakes.day import POOL_KEY, Controller, Cut
from tests.unit.cli.backups import Backup

from ec2zfs.errors import ExitCode, HostError


@pytest.fixture
def backup(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Backup:
    return Backup(tmp_path, capsys, monkeypatch)


def test_a_run_ends_with_copies_a_result_and_a_report(backup: Backup) -> None:
    assert backup() == ExitCode.OK
    assert backup.day.copied() == backup.day.histories()
    backup.require_rest()
    result = backup.told("backup_complete")
    assert (result["pool"], result["bytes_sent"]) == ("cloud", 3300)
    (report,) = backup.reports()
    assert json.loads(Path(str(result["report"])).read_text()) == report
    assert (report["clean"], report["bytes_sent"]) == (True, 3300)
    assert report["properties"] == ["set compression=lz4, ec2zfs:property:mountpoint=/srv on cloud/tank"]
    assert str(report["transport"]).startswith("The stream goes directly to receiver i-")
    key = POOL_KEY.reveal().decode()
    assert key not in backup.printed.out + backup.printed.err + json.dumps(report)


def test_a_dry_run_shows_bytes_and_money_and_leaves_no_trace(backup: Backup) -> None:
    before = backup.day.shown()
    assert backup("--dry-run") == ExitCode.OK
    assert backup.day.shown() == before
    assert not backup.state.exists()
    result = backup.told("dry_run_nothing_was_changed")
    assert result["bytes_to_send_about"] == 3 * 1000
    assert str(result["receiver"]).startswith("$0.0")
    assert str(result["volumes"]).endswith(" a month")
    assert backup.told("receiver")["rows"] == [{"action": "start i-00000000000000001"}]
    given = "set compression=lz4, ec2zfs:property:mountpoint=/srv on cloud/tank"
    assert backup.told("properties_of_new_copies")["rows"] == [{"action": given}]
    assert backup() == ExitCode.OK
    assert backup("--dry-run") == ExitCode.OK
    assert not [event for event in backup.events if event["event"] == "properties_of_new_copies"]


def test_a_failed_run_exits_with_its_failure_and_is_reported_with_what_was_sent(backup: Backup) -> None:
    backup.day.machine.health = "DEGRADED"  # type: ignore[attr-defined]
    assert backup() == ExitCode.POOL_UNWELL
    assert "The copies are complete, but pool cloud is not well" in backup.errors[-1]["message"]
    (report,) = backup.reports()
    stages = report["stages"]
    assert isinstance(stages, list)
    assert [stage["name"] for stage in stages if stage["failed"]] == ["check"]
    assert (report["clean"], report["bytes_sent"]) == (False, 3300)
    backup.require_rest()


def test_what_a_lost_receiver_had_been_sent_is_not_claimed_to_be_nothing(backup: Backup) -> None:
    whole = Controller(backup.day.copy())
    whole.back_up(datetime(2026, 11, 24, tzinfo=UTC))
    last = max(n for n, (_, name) in enumerate(whole.cut.calls, 1) if name == "stream: half way")

    def dies(name: str) -> HostError:
        backup.day.dead = True
        return HostError(name)

    assert backup(cut=Cut(last, failure=dies)) == ExitCode.HOST
    assert backup.reports()[0]["bytes_sent"] is None


def test_an_interrupted_run_is_reported_and_left_in_good_order(backup: Backup) -> None:
    assert backup(cut=Cut(30, failure=KeyboardInterrupt)) == ExitCode.INTERRUPTED
    assert backup.reports()[0]["clean"] is False
    backup.require_rest()


def test_a_price_table_that_is_wrong_is_told_before_the_run(backup: Backup, tmp_path: Path) -> None:
    (tmp_path / "prices.json").write_text("{")
    backup.configure(f'prices = "{tmp_path}/prices.json"')
    before = backup.day.shown()
    assert backup() == ExitCode.CONFIGURATION
    assert backup.day.shown() == before


def test_a_copy_whose_source_was_destroyed_is_told_at_the_end_and_in_the_report_and_before_the_next_run(
    backup: Backup,
) -> None:
    assert backup() == ExitCode.OK
    assert "copies_without_a_source" not in {each["event"] for each in backup.events}
    del backup.day.site.zfs.datasets["tank/home"]
    assert backup() == ExitCode.OK
    told = backup.told("copies_without_a_source")
    (sentence,) = cast("list[str]", backup.reports()[-1]["orphans"])
    assert sentence.startswith("tank/home does not exist any more at the site; its copy cloud/tank/home is kept.")
    assert told["rows"] == [{"copies_without_a_source": sentence}]
    assert backup("--dry-run") == ExitCode.OK
    assert backup.told("copies_without_a_source") == told


@pytest.mark.parametrize(("health", "status"), [("ONLINE", ExitCode.OK), ("DEGRADED", ExitCode.POOL_UNWELL)])
def test_a_report_that_cannot_be_written_hides_nothing(backup: Backup, health: str, status: ExitCode) -> None:
    backup.state.mkdir()
    (backup.state / "reports").touch()
    backup.day.machine.health = health  # type: ignore[attr-defined]
    assert backup() == status
    assert "The report of this run could not be written" in backup.errors[0]["message"]
    backup.require_rest()
