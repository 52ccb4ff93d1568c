"""`ec2zfs repair` from the command line to the imagined world: what it shows, asks, changes and leaves as it was."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.fakes.day import Controller, Cut
from tests.fakes.fuse import Killed
from tests.unit.cli.backups import Backup

from ec2zfs.cli.confirmation import confirm
from ec2zfs.errors import ExitCode, Refused


@pytest.fixture
def repair(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Backup:
    """`ec2zfs repair` after a first backup."""
    backup = Backup(tmp_path, capsys, monkeypatch)
    Controller(backup.day).back_up(datetime(2026, 11, 24, tzinfo=UTC))
    backup.day.copies.may_repair = True
    backup.verb = "repair"
    return backup


def meddle(repair: Backup) -> None:
    """Somebody takes a snapshot of a copy, and writes to the copy."""
    copies = repair.day.copies.zfs
    copies.snapshot("cloud/tank", "stray", 300)
    copies.find("cloud/tank").written = 50


def test_a_dry_run_shows_all_and_changes_nothing(repair: Backup) -> None:
    meddle(repair)
    before = repr(repair.day.copies.zfs)
    assert repair("tank", "--dry-run") == ExitCode.OK
    assert repr(repair.day.copies.zfs) == before
    assert "'snapshot': 'cloud/tank@stray'" in str(repair.told("snapshots_that_would_be_destroyed")["rows"])
    told = repair.told("what_would_be_done")
    wanted = (1, 300, 50)
    names = ("snapshots_destroyed", "bytes_they_free", "bytes_discarded_that_were_written_since")
    assert tuple(told[name] for name in names) == wanted
    assert "cloud/tank has snapshots that tank does not have" in str(told["conflict"])
    repair.told("dry_run_nothing_was_changed")
    repair.require_rest()


@pytest.mark.parametrize("name", ["tank", "cloud/tank"])
def test_confirmed_it_repairs_and_the_next_backup_goes_on(repair: Backup, name: str) -> None:
    meddle(repair)
    assert repair(name, "--confirm", name) == ExitCode.OK
    assert repair.told("repair_complete")["copy"] == "cloud/tank"
    repair.require_rest()
    assert repair.reports()[-1]["command"] == "repair"
    Controller(repair.day).back_up(datetime(2026, 11, 25, tzinfo=UTC))
    assert repair.day.copied() == repair.day.histories()


def test_set_aside_it_is_told_how_the_old_copy_ends(repair: Backup) -> None:
    meddle(repair)
    assert repair("tank", "--set-aside", "--confirm", "tank") == ExitCode.OK
    aside = next(name for name in repair.day.copies.zfs.datasets if name.startswith("cloud/tank-set-aside-"))
    assert aside in str(repair.told("repair_complete")["when_that_is_complete"])
    assert repair.told("copies_that_would_go_with_it")["rows"] == [{"copy": "cloud/tank/home"}]
    assert "cloud/tank" not in repair.day.copies.zfs.datasets
    repair.require_rest()


@pytest.mark.parametrize("words", [(), ("--confirm", "www")])
def test_without_the_right_name_nothing_is_done(
    repair: Backup, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    meddle(repair)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    before = repr(repair.day.copies.zfs)
    assert repair("tank", *words) == ExitCode.REFUSED
    assert repr(repair.day.copies.zfs) == before
    assert repair.told("what_would_be_done")
    repair.require_rest()


def test_where_nothing_is_in_the_way_nothing_is_asked(repair: Backup) -> None:
    before = repr(repair.day.copies.zfs)
    assert repair("tank/home") == ExitCode.OK
    repair.told("nothing_to_repair_nothing_was_changed")
    assert repr(repair.day.copies.zfs) == before
    repair.require_rest()


def test_what_is_no_dataset_of_ours_is_refused(repair: Backup) -> None:
    assert repair("tank/nowhere", "--confirm", "tank/nowhere") == ExitCode.REFUSED
    assert "neither a dataset that is backed up nor the copy" in repair.errors[-1]["message"]
    repair.require_rest()


def test_killed_at_any_call_and_typed_again_it_ends_the_same(repair: Backup) -> None:
    meddle(repair)
    before = repair.day.copy()
    repair.day, whole = before.copy(), Cut()
    assert repair("tank", "--confirm", "tank", cut=whole) == ExitCode.OK
    wanted = repair.day.copied()
    moments = [n for n, (_, name) in enumerate(whole.calls, 1) if name.startswith("receiver: zfs")]
    assert len(moments) > 6
    for moment in moments:
        repair.day = before.copy()
        with pytest.raises(Killed):
            repair.run("tank", "--confirm", "tank", cut=Cut(moment))
        repair.capsys.readouterr()
        assert repair("tank", "--confirm", "tank") == ExitCode.OK
        assert repair.day.copied() == wanted


def test_the_question_names_the_kind_of_thing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal("tank/hoem\n"))
    with pytest.raises(Refused, match="'tank/hoem' is not tank/home"):
        confirm("roll cloud/tank/home back", "tank/home", None, kind="dataset")
    assert "Type the dataset's name" in capsys.readouterr().err
