"""Staging on a ZFS with files: what is staged in which order, how it is marked, and killed at any call."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests import sweep
from tests.fakes.fuse import Killed
from tests.fakes.zfs_on_disk import CopyingFolders, DiskZfs, same

from ec2zfs.errors import ConfigurationError, StagingIncomplete
from ec2zfs.execute.progress import Silent
from ec2zfs.execute.staging import Stager
from ec2zfs.execute.staging_report import StagingReport
from ec2zfs.model.hold import STAGING
from ec2zfs.model.policy import Keep
from ec2zfs.model.source import Source
from ec2zfs.model.staging import OF_SOURCE, UNDER_WAY
from ec2zfs.plan.staging import StagingRules, plan_staging
from ec2zfs.staging.report import UnreadFile

NOW = datetime(2026, 11, 25, 0, 0, tzinfo=UTC)
DAILY = {"daily": Keep(30)}
SOURCES = (Source("tank"),)


def never(_event: str) -> None:
    """Let it live."""


class Staging:
    """A site with sources and a staging pool; `hook` hears of all that is called."""

    def __init__(self, top: Path, hook: Callable[[str], object] = never) -> None:
        self.site, self.folders = DiskZfs(top), CopyingFolders()
        self.site.make("vault")
        for name in ("tank", "tank/home"):
            (self.site.make(name) / "a.txt").write_text("one")
        self.snapshot("first")
        self.listen(hook)

    def listen(self, hook: Callable[[str], object]) -> None:
        self.site.hook = self.folders.hook = hook

    def snapshot(self, name: str) -> None:
        for dataset in ("tank", "tank/home"):
            folder = self.site.folder(dataset)
            (folder / f"{name}.txt").write_text(name)
            (folder / "a.txt").write_text(f"{name} again")
            self.site.take(dataset, name)

    def stage(self, now: datetime = NOW, *, full: bool = False, again: bool = False) -> StagingReport:
        stager = Stager(self.site, "vault", self.folders, Silent())
        state = stager.observe(SOURCES)
        rules = StagingRules(lambda _: DAILY, timedelta(days=7), full=full, again=again)
        return stager.run(plan_staging(state, rules, now), state)

    def staged(self, source: str) -> list[str]:
        """The snapshots that are staged, each of which has to be as the source's."""
        place = f"vault/{source}"
        names = [each.name for each in self.site.zfs.find(place).snapshots]
        for name in names:
            assert same(self.site.snapshot(source, name), self.site.snapshot(place, name)), name
        return names

    def held(self, source: str) -> list[str]:
        found = self.site.zfs.find(source)
        return [each.name for each in found.snapshots if STAGING in found.holds.get(each.guid, {})]

    def require_rest(self, *names: str) -> None:
        """All is staged, nothing is under way, and the newest snapshot alone is held."""
        for source in ("tank", "tank/home"):
            found = self.site.zfs.find(f"vault/{source}")
            assert self.staged(source) == [*names]
            assert self.held(source) == [names[-1]]
            assert found.properties[OF_SOURCE] == str(self.site.zfs.find(source).guid)
            assert UNDER_WAY not in found.properties
            assert self.site.pool.written(f"vault/{source}") == 0


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(tmp_path)


def test_all_snapshots_are_staged_from_the_oldest_and_then_only_what_is_new(staging: Staging) -> None:
    staging.snapshot("second")
    report = staging.stage()
    report.raise_for_errors()
    assert [each.snapshot for each in report.snapshots] == [
        "tank@first",
        "tank@second",
        "tank/home@first",
        "tank/home@second",
    ]
    staging.require_rest("first", "second")
    assert staging.stage().snapshots == ()
    staging.snapshot("third")
    staging.folders.ways.clear()
    staging.stage().raise_for_errors()
    staging.require_rest("first", "second", "third")
    assert [(way.before and way.before.name, way.hints.count) for way in staging.folders.ways] == [("second", 2)] * 2


def test_each_is_mounted_by_itself_for_root_alone(staging: Staging, tmp_path: Path) -> None:
    staging.stage()
    for name in ("tank", "tank%home"):
        assert (tmp_path / "vault" / name).stat().st_mode & 0o777 == 0o700


def test_the_whole_tree_is_compared_when_that_is_due_or_asked_for(staging: Staging) -> None:
    def everywhere() -> bool:
        return all(b"" in way.hints.whole for way in staging.folders.ways[-2:])

    staging.stage()
    assert everywhere()
    for day, full, expected in ((3, False, False), (6, True, True), (9, False, False), (13, False, True)):
        staging.snapshot(f"day{day}")
        staging.stage(NOW + timedelta(days=day), full=full)
        assert everywhere() is expected, day


def test_a_file_that_cannot_be_read_is_named_and_stops_nothing(staging: Staging) -> None:
    staging.folders.open_unread = (UnreadFile(b"b.txt", "Input/output error."),)
    words = r"not staged: b\.txt of tank@first \(Input/output error\), b\.txt of tank/home@first"
    with pytest.raises(StagingIncomplete, match=words):
        staging.stage().raise_for_errors()
    staging.require_rest("first")


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (("sh", "-c", "echo Unable to determine path >&2; exit 1"), "Unable to determine path"),
        (("echo", "what is this"), "printed what cannot be read: b'what is this'"),
    ],
)
def test_where_zfs_diff_fails_the_whole_tree_is_compared(
    staging: Staging, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...], why: str
) -> None:
    staging.stage()
    staging.snapshot("second")
    monkeypatch.setattr(staging.site, "exec_argv", lambda _command: argv)
    report = staging.stage()
    report.raise_for_errors()
    assert [b"" in way.hints.whole for way in staging.folders.ways[-2:]] == [True, True]
    assert ["The whole tree of tank " in warning and why in warning for warning in report.warnings] == [True, False]
    staging.require_rest("first", "second")


def test_all_is_encrypted_again_with_the_next_snapshot(staging: Staging) -> None:
    staging.stage()
    with pytest.raises(StagingIncomplete, match=r"tank has no snapshot that is newer.*Take one"):
        staging.stage(again=True).raise_for_errors()
    for name in ("second", "third"):
        staging.snapshot(name)
    staging.folders.ways.clear()
    staging.stage(again=True).raise_for_errors()
    assert [(way.again, way.before and way.before.name) for way in staging.folders.ways] == [
        (True, None),
        (False, "second"),
    ] * 2
    staging.require_rest("first", "second", "third")


def test_without_a_staging_dataset_it_is_told_how_to_make_one(tmp_path: Path) -> None:
    staging = Staging(tmp_path)
    del staging.site.zfs.datasets["vault"]
    with pytest.raises(ConfigurationError, match=r"no dataset vault to stage in.*zfs create vault"):
        staging.stage()
    staging.site.make("vault", mountpoint="none")
    with pytest.raises(ConfigurationError, match=r"vault has no mount point.*zfs set mountpoint=/vault vault"):
        staging.stage()


def test_what_cannot_be_staged_is_told_and_stops_nothing_else(staging: Staging) -> None:
    staging.site.make("vault/tank")
    report = staging.stage()
    assert [each.snapshot for each in report.snapshots] == ["tank/home@first"]
    with pytest.raises(StagingIncomplete, match="vault/tank, where tank is to be staged, is not ec2zfs's own"):
        report.raise_for_errors()


def test_killed_at_any_call_and_run_again(tmp_path: Path) -> None:
    calls: list[str] = []

    def world(name: str) -> Staging:
        staging = Staging(tmp_path / name)
        staging.stage(NOW - timedelta(days=1))
        for each in ("second", "third"):
            staging.snapshot(each)
        return staging

    counted = world("counted")
    counted.listen(calls.append)
    counted.stage()
    counted.require_rest("first", "second", "third")
    kinds = [_kind(call) for call in calls]
    assert len(set(kinds)) >= 15
    for place in sweep.places(kinds):
        _killed(world(str(place)), place, calls[place])


def test_killed_at_any_call_of_the_first_run(tmp_path: Path) -> None:
    calls: list[str] = []
    Staging(tmp_path / "counted", calls.append).stage()
    for place in sweep.places([_kind(call) for call in calls]):
        _killed(Staging(tmp_path / str(place)), place, calls[place], "first")


def _killed(staging: Staging, place: int, call: str, *names: str) -> None:
    staging.listen(_Burning(place))
    with pytest.raises(Killed):
        staging.stage()
    staging.listen(never)
    staging.stage().raise_for_errors()
    staging.require_rest(*(names or ("first", "second", "third")))


class _Burning:
    def __init__(self, place: int) -> None:
        self.left = place

    def __call__(self, event: str) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed(event)


def _kind(call: str) -> str:
    return " ".join(word for word in call.split()[:4] if "@" not in word)
