"""`ec2zfs snapshot`, `prune` and `snapshots`: what they do at the site, what they show, and what they refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.fakes.zfs_world import ZfsHost

from ec2zfs.cli import main
from ec2zfs.cli.session import Session
from ec2zfs.errors import ExitCode
from ec2zfs.runs.lock import site_lock

CONFIGURATION = """
[aws]
region = "eu-central-1"
zone = "eu-central-1a"
[pool]
name = "cloud"
redundancy = "raidz1"
vdevs = 1
volumes_per_vdev = 3
[volumes]
type = "gp3"
size_gib = 1
[receiver]
image = "ami-00000000000000001"
instance_type = "m7g.medium"
[site]
[[source]]
dataset = "tank"
[[policy]]
datasets = ["tank"]
site = {{ daily = 2, weekly = 1 }}
staging = {{}}
cloud = {{ daily = 2 }}
[[policy]]
datasets = ["tank/scratch"]
exclude = true
[pool_key]
[paths]
state = "{state}"
"""
OLD = ("ec2zfs_2020-01-01T00:00:00Z_daily", "ec2zfs_2020-01-02T00:00:00Z_daily", "by hand")


class Typed:
    """Types `ec2zfs …` at a site that has a history of 2020; `rows` and `told` are of what was printed last."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.capsys = capsys
        self.file, self.state = directory / "ec2zfs.toml", directory / "state"
        self.file.write_text(CONFIGURATION.format(state=self.state))
        self.site = ZfsHost("site")
        for name in ("tank", "tank/home", "tank/scratch"):
            self.site.zfs.create(name)
        for name in OLD:
            marks = (("ec2zfs:period", "daily"),) if name != "by hand" else ()
            self.site.zfs.snapshot("tank", name, 4096, marks)
        monkeypatch.setattr(Session, "site", self.site)

    def __call__(self, *words: str) -> int:
        status = main(["--config", str(self.file), "--json", *words])
        printed = self.capsys.readouterr()
        self.events = [json.loads(line) for line in printed.out.splitlines()]
        self.errors = [json.loads(line) for line in printed.err.splitlines()]
        return status

    def rows(self, event: str) -> list[dict[str, object]]:
        (found,) = (each["rows"] for each in self.events if each["event"] == event)
        assert isinstance(found, list)
        return found

    def names(self, dataset: str = "tank") -> list[str]:
        return [snap.name for snap in self.site.zfs.find(dataset).snapshots]


@pytest.fixture
def typed(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Typed:
    return Typed(tmp_path, capsys, monkeypatch)


@contextmanager
def unchanged(typed: Typed) -> Iterator[None]:
    before = repr(typed.site.zfs)
    yield
    assert repr(typed.site.zfs) == before


def test_what_is_due_is_shown_and_then_taken(typed: Typed) -> None:
    with unchanged(typed):
        assert typed("snapshot", "--dry-run") == ExitCode.OK
    due = typed.rows("snapshots_due_none_taken")
    assert [(row["period"], row["pool"], row["datasets"]) for row in due] == [
        ("daily", "tank", 2),
        ("weekly", "tank", 2),
    ]
    assert typed("snapshot") == ExitCode.OK
    assert len(typed.rows("snapshots_taken")) == 2
    assert [name.rpartition("_")[2] for name in typed.names("tank/home")] == ["daily", "weekly"]
    assert typed.names("tank/scratch") == []
    with unchanged(typed):
        assert typed("snapshot") == ExitCode.OK
    assert typed.rows("snapshots_taken") == []


def test_one_period_is_taken_now(typed: Typed) -> None:
    assert typed("snapshot", "--now", "weekly") == ExitCode.OK
    assert [row["period"] for row in typed.rows("snapshots_taken")] == ["weekly"]
    with unchanged(typed):
        assert typed("snapshot", "--now", "fortnightly") == ExitCode.CONFIGURATION
    assert "There is no period fortnightly" in typed.errors[0]["message"]


def test_victims_are_shown_with_reason_and_bytes_and_then_destroyed(typed: Typed) -> None:
    typed("snapshot")
    with unchanged(typed):
        assert typed("prune", "--dry-run") == ExitCode.OK
    assert typed.rows("snapshots_to_destroy") == [
        {"snapshot": f"tank@{OLD[0]}", "bytes_of_its_own": 4096, "reason": "daily 3 of 2"}
    ]
    assert typed.events[-1] == {
        "event": "dry_run_nothing_was_destroyed",
        "snapshots_to_destroy": 1,
        "bytes_that_it_frees": 4096,
    }
    assert typed("prune") == ExitCode.OK
    assert typed.events[-1] == {"event": "site_pruned", "snapshots_destroyed": 1, "bytes_freed": 4096}
    assert typed.names()[:2] == [*OLD[1:]]
    with unchanged(typed):
        assert typed("prune") == ExitCode.OK


def test_what_is_held_is_spared_and_named(typed: Typed) -> None:
    typed("snapshot")
    typed.site.zfs.hold("mine", [f"tank@{OLD[0]}"])
    with unchanged(typed):
        assert typed("prune", "--dry-run") == ExitCode.OK
        assert typed.rows("snapshots_that_are_spared") == [
            {"snapshot": f"tank@{OLD[0]}", "kept_because": "it is held (`ec2zfs holds`)"}
        ]
        assert typed("prune") == ExitCode.OK


def test_each_snapshot_is_listed_with_what_keeps_it_and_until_when(typed: Typed) -> None:
    assert typed("snapshots") == ExitCode.OK
    told = {str(row["snapshot"]): (row["kept"], row["reason"], row["until"]) for row in typed.rows("snapshots")}
    assert told["by hand"] == (True, "ec2zfs did not make it", None)
    kept, reason, until = told[OLD[1]]
    assert (kept, reason) == (True, "daily 1 of 2")
    assert str(until).endswith("T00:00:00Z")
    assert typed("snapshots", "tank/home") == ExitCode.OK
    assert typed.rows("snapshots") == []
    assert typed("snapshots", "tank/scratch", "pond") == ExitCode.CONFIGURATION
    assert "pond, tank/scratch is no dataset of the sources" in typed.errors[0]["message"]


def test_one_command_at_a_time_works_on_the_snapshots(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ec2zfs.runs.lock.PATIENCE", 0.2)
    with site_lock(typed.state), unchanged(typed):
        for verb in ("snapshot", "prune"):
            assert typed(verb) == ExitCode.LOCKED
            assert "Another command works on the site's snapshots: process" in typed.errors[0]["message"]


def test_status_tells_how_fresh_each_tier_is_by_its_exit_code(typed: Typed) -> None:
    with unchanged(typed):
        assert typed("status") == 2
    rows = {(row["dataset"], row["tier"]): row for row in typed.rows("datasets")}
    assert set(rows) == {(name, tier) for name in ("tank", "tank/home") for tier in ("site", "cloud")}
    assert (rows["tank", "site"]["state"], rows["tank", "site"]["newest"]) == ("broken", "2020-01-02T00:00:00Z")
    assert rows["tank", "cloud"]["backlog_bytes"] == 3 * 4096
    typed("snapshot")
    assert typed("status") == 2, "the copies are years behind"
    states = {(str(row["dataset"]), str(row["tier"])): row["state"] for row in typed.rows("datasets")}
    assert states == {
        ("tank", "site"): "fine",
        ("tank/home", "site"): "fine",
        ("tank", "cloud"): "broken",
        ("tank/home", "cloud"): "fine",
    }


def test_a_last_run_that_failed_is_late_at_least(typed: Typed) -> None:
    for snap in list(typed.site.zfs.find("tank").snapshots):
        typed.site.zfs.destroy_snapshot(f"tank@{snap.name}")
    typed("snapshot")
    assert typed("status") == 0
    reports = typed.state / "reports"
    reports.mkdir()
    stages = [{"name": "replicate", "outcome": "the pool is full", "failed": True}]
    document = {"command": "backup", "started": "2026-11-25T02:17:00+00:00", "stages": stages}
    (reports / "2026-11-25T021700Z-cloud.json").write_text(json.dumps(document))
    (reports / "2026-11-26T021700Z-cloud.json").write_text("{")
    assert typed("status") == 1
    assert typed.events[-1] == {
        "event": "status",
        "state": "late",
        "last_run": "2026-11-25T02:17:00+00:00",
        "its_failure": "replicate: the pool is full",
    }


def test_copies_without_a_source_are_told_as_the_last_run_saw_them_that_looked(typed: Typed) -> None:
    reports = typed.state / "reports"
    reports.mkdir(parents=True)
    told: tuple[tuple[str, object], ...] = (
        ("backup", ["a"]),
        ("backup", ["b"]),
        ("backup", None),
        ("pool grow", ["c"]),
    )
    for day, (command, orphans) in enumerate(told, 20):
        document = {"command": command, "started": f"2026-11-{day}", "stages": [], "orphans": orphans}
        (reports / f"2026-11-{day}T021700Z-cloud.json").write_text(json.dumps(document))
    typed("status")
    assert typed.rows("copies_without_a_source") == [{"copies_without_a_source": "b"}]
    assert typed.events[-1]["last_run"] == "2026-11-22"
