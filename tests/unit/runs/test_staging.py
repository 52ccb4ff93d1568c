"""The daily run where sources are staged: what leaves for the cloud pool is what is staged, and nothing in clear."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import pytest
from tests.fakes.day import POOL_KEY, SOURCES, Controller, Day
from tests.fakes.zfs_on_disk import CopyingFolders, DiskZfs
from tests.unit.runs.days import FIRST_DAY, NEXT_DAY, ran, require_rest

from ec2zfs.errors import StagingIncomplete
from ec2zfs.execute.progress import Silent
from ec2zfs.execute.replication import Replicator
from ec2zfs.execute.staging import Stager
from ec2zfs.hosts.host import Host
from ec2zfs.model.policy import Keep, PolicyRule, Tier
from ec2zfs.runs.backup import PRUNE_STAGING, STAGE, BackupParts, back_up
from ec2zfs.runs.preview import BackupPreview, preview_backup
from ec2zfs.runs.snapshots import StandIns
from ec2zfs.runs.staging import Staging
from ec2zfs.staging.report import UnreadFile

STAGED, PLAIN = SOURCES


@dataclass
class StagedDay:
    """A day at a site with files; tank is staged, www is copied as it is."""

    top: Path
    day: Day = field(default_factory=Day)
    folders: CopyingFolders = field(default_factory=CopyingFolders)

    def __post_init__(self) -> None:
        self.day.site = self.site = DiskZfs(self.top)
        for name in ("tank", "tank/home", "www", "vault"):
            (self.site.make(name) / "a.txt").write_text(name)

    def back_up(self, when: datetime = FIRST_DAY) -> Controller:
        """A run; the controller says how its stages ended."""
        self.controller = Controller(self.day)
        back_up(self.parts(when), POOL_KEY, when, self.controller.journal)
        return self.controller

    def preview(self, when: datetime) -> BackupPreview:
        """What a run would do; nothing was changed by asking."""
        before = self.day.shown()
        self.controller = Controller(self.day)
        preview = preview_backup(self.parts(when), when)
        assert self.day.shown() == before
        return preview

    def parts(self, when: datetime) -> BackupParts:
        """What a run at that time is made of, with its staging."""
        controller = self.controller
        controller.now = when
        plain = controller.parts()
        staging = self.staging()
        at_site = replace(plain.site, stand_ins=StandIns("vault", (STAGED,), staging.names))

        def replicator(host: Host) -> Replicator:
            return replace(plain.replicator(host), selection=at_site.sent(lambda: controller.now))

        return BackupParts(at_site, plain.upkeep, replicator, staging)

    def staging(self) -> Staging:
        return Staging(Stager(self.site, "vault", self.folders, Silent()), (STAGED,), self.day.schedule)

    def copies(self) -> dict[str, list[str]]:
        return {name: [each for each, _ in snaps] for name, snaps in self.day.copied().items()}


@pytest.fixture
def staged(tmp_path: Path) -> StagedDay:
    return StagedDay(tmp_path)


FIRST, NEXT = "ec2zfs_2026-11-24T02:17:00Z_daily", "ec2zfs_2026-11-25T02:17:00Z_daily"


def test_what_is_staged_is_copied_and_the_sources_are_not(staged: StagedDay) -> None:
    (staged.site.make("vault/secret") / "b.txt").write_text("in clear")
    staged.site.take("vault/secret", "theirs")
    controller = staged.back_up()
    assert [name for name, failed in ran(controller) if failed] == []
    assert [name for name, _ in ran(controller)][1] == STAGE
    assert ran(controller)[-1] == (PRUNE_STAGING, False)
    assert staged.copies() == {"vault/tank": [FIRST], "vault/tank/home": [FIRST], "www": [FIRST]}
    (staged.site.folder("tank/home") / "a.txt").write_text("another")
    staged.back_up(NEXT_DAY)
    both = [FIRST, NEXT]
    assert staged.copies() == {"vault/tank": both, "vault/tank/home": both, "www": both}


def steps(preview: BackupPreview) -> tuple[list[str], list[tuple[str, str]]]:
    """What is to be staged, and what of each dataset is to be sent."""
    assert preview.staging
    sent = [(plan.replica.source, str(step)) for plan in preview.replication.datasets for step in plan.steps]
    return [str(step) for step in preview.staging.steps], sent


def test_a_preview_tells_what_is_staged_first_and_counts_what_is_staged(staged: StagedDay) -> None:
    staged.site.take("tank/home", "theirs")
    first = staged.preview(FIRST_DAY)
    assert steps(first) == (["create vault/tank/home", "stage tank/home@theirs from nothing"], [])
    assert [plan.replica.source for plan in first.replication.datasets] == ["www"]
    assert first.uncounted
    staged.back_up()
    done = staged.preview(FIRST_DAY)
    assert steps(done) == ([], [])
    assert not done.snapshots
    assert not done.uncounted
    staged.site.take("tank/home", "later")
    staged.staging().stage(NEXT_DAY)
    staged.site.take("tank/home", "last")
    to_stage, to_send = steps(staged.preview(NEXT_DAY))
    assert to_stage == ["stage tank/home@last from @later"]
    assert to_send[0] == ("vault/tank/home", f"send vault/tank/home@later since @{FIRST}")


def test_what_could_not_be_staged_is_raised_when_all_else_is_done(staged: StagedDay) -> None:
    staged.folders.open_unread = (UnreadFile(b"a.txt", "Input/output error"),)
    with pytest.raises(StagingIncomplete, match=r"a\.txt of tank@"):
        staged.back_up()
    assert [name for name, failed in ran(staged.controller) if failed] == [STAGE]
    assert staged.copies() == {"vault/tank": [FIRST], "vault/tank/home": [FIRST], "www": [FIRST]}
    require_rest(staged.day)


def test_what_is_not_staged_does_not_leave_under_the_name_of_what_is(staged: StagedDay) -> None:
    staged.site.make("vault/tank")
    staged.site.take("vault/tank", FIRST)
    with pytest.raises(StagingIncomplete, match="vault/tank, where tank is to be staged, is not ec2zfs's own"):
        staged.back_up()
    assert staged.copies() == {"vault/tank/home": [FIRST], "www": [FIRST]}


def test_the_staging_pool_is_thinned_by_its_own_rules_but_for_the_newest(staged: StagedDay) -> None:
    rule = PolicyRule(("**",), {Tier.STAGING: {"daily": Keep(1)}})
    for when in (FIRST_DAY, NEXT_DAY):
        (staged.site.folder("tank") / "a.txt").write_text(str(when))
        staged.back_up(when)
    staged.day.schedule = replace(staged.day.schedule, rules=(*staged.day.schedule.rules, rule))
    plan = staged.staging().plan_pruning(NEXT_DAY)
    assert [str(verdict.snapshot) for action in plan.actions for verdict in action.verdicts] == [
        f"vault/tank@{FIRST}",
        f"vault/tank/home@{FIRST}",
    ]
    assert staged.staging().prune(NEXT_DAY).count == 2
    assert staged.staging().prune(NEXT_DAY).count == 0


def test_the_base_of_the_next_stage_is_held_against_pruning_at_the_site(staged: StagedDay) -> None:
    staged.back_up()
    rule = PolicyRule(("**",), {Tier.SITE: {"daily": Keep(0)}, Tier.STAGING: {"weekly": Keep(1)}})
    staged.day.schedule = replace(staged.day.schedule, rules=(*staged.day.schedule.rules, rule))
    staged.site.take("tank", NEXT)
    plan = Controller(staged.day).parts().site.plan_pruning(NEXT_DAY)
    assert [(str(each.snapshot), each.reason) for each in plan.spared] == [
        (f"tank@{FIRST}", "it is held (`ec2zfs holds`)")
    ]
