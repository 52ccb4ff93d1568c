"""Three days of policy on real ZFS, under a clock that the test moves: taken, sent, and pruned on both sides."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from tests.lab.zfs_ends import Ends

from ec2zfs.execute.carrier import Carriage, Fixed
from ec2zfs.execute.progress import Silent
from ec2zfs.execute.replication import Replicator
from ec2zfs.model.policy import Keep, PolicyRule, Schedule, Tier
from ec2zfs.model.source import Source
from ec2zfs.runs.snapshots import Site
from ec2zfs.transport.ssh import SshTransport

BEGIN = datetime(2026, 3, 27, 21, 30, tzinfo=UTC)
"""Half past ten in the evening in Berlin, two nights before the clocks there are put forward."""

HOURS = (0, 2, 14, 26, 30, 38, 50, 62, 74)
KEEPS = {
    Tier.SITE: {"mid-day": Keep(2), "daily": Keep(2), "weekly": Keep(1)},
    Tier.STAGING: {},
    Tier.CLOUD: {"daily": Keep(3), "weekly": Keep(1)},
}
SITE = [
    "ec2zfs_2026-03-30T11:30:00Z_mid-day",
    "ec2zfs_2026-03-29T23:30:00Z_daily",
    "ec2zfs_2026-03-29T11:30:00Z_mid-day",
    "ec2zfs_2026-03-30T23:30:00Z_daily",
    "ec2zfs_2026-03-29T23:30:00Z_weekly",
]
CLOUD = [
    "ec2zfs_2026-03-28T23:30:00Z_daily",
    "ec2zfs_2026-03-29T23:30:00Z_daily",
    "ec2zfs_2026-03-30T23:30:00Z_daily",
    "ec2zfs_2026-03-29T23:30:00Z_weekly",
]


def test_three_days_of_policy(ends: Ends) -> None:
    tree = "rsite/policy"
    for name in (tree, f"{tree}/child", f"{tree}/scratch"):
        ends.zfs("create", name)
    ends.zfs("snapshot", "-r", f"{tree}@by hand")
    rules = (PolicyRule((tree,), KEEPS), PolicyRule((f"{tree}/scratch",), exclude=True))
    site = Site(ends.site, (Source(tree),), Schedule(ZoneInfo("Europe/Berlin"), rules=rules))
    for hours in HOURS:
        now = BEGIN + timedelta(hours=hours)
        ends.fill(f"{tree}/child", f"hour{hours}", 1)
        day(ends, site, now)
    again = site_names(ends, tree), cloud_names(ends, tree)
    for child in ("", "/child"):
        assert set(site_names(ends, f"{tree}{child}")) == {"by hand", *SITE}
        assert set(cloud_names(ends, f"{tree}{child}")) == {"by hand", *CLOUD}
        newest = "ec2zfs_2026-03-30T23:30:00Z_daily"
        assert ends.digest(f"rcloud/{tree}{child}@{newest}") == ends.digest(f"{tree}{child}@{newest}")
    assert site_names(ends, f"{tree}/scratch") == ["by hand"]
    assert ends.zfs("list", "-H", "-o", "name", "-r", f"rcloud/{tree}") == [f"rcloud/{tree}", f"rcloud/{tree}/child"]
    day(ends, site, BEGIN + timedelta(hours=HOURS[-1], minutes=1))
    assert (site_names(ends, tree), cloud_names(ends, tree)) == again, "doing it twice is doing it once"


def test_a_base_that_was_pruned_at_the_site_is_still_the_base(ends: Ends) -> None:
    tree = "rsite/thin"
    ends.zfs("create", tree)
    one = {tier: {"daily": Keep(1 if tier is Tier.SITE else 9)} for tier in Tier}
    site = Site(ends.site, (Source(tree),), Schedule(rules=(PolicyRule((tree,), one),)))
    day(ends, site, BEGIN)
    for days in (1, 2, 3):
        site.take_due(BEGIN + timedelta(days=days))
        site.prune(BEGIN + timedelta(days=days))
    assert len(site_names(ends, tree)) == 1
    ends.fill(tree, "late", 1)
    day(ends, site, BEGIN + timedelta(days=4))
    assert len(cloud_names(ends, tree)) == 3, "the first, what was left of the days without, and the last"
    newest = f"{tree}@{site_names(ends, tree)[-1]}"
    assert ends.digest(f"rcloud/{newest}") == ends.digest(newest)


def day(ends: Ends, site: Site, now: datetime) -> None:
    """What the daily run does of this, without its receiver."""
    site.take_due(now)
    selection = site.sent(lambda: now)
    carrier = Fixed(Carriage(SshTransport()))
    replicator = Replicator(ends.site, ends.receiver, "rcloud", carrier, Silent(), selection)
    report = replicator.run(replicator.plan(replicator.observe(site.sources)))
    report.raise_for_errors()
    whole = {each.replica.target: each.replica.source for each in report.datasets}
    for pruned in (site.prune_copies(ends.receiver, "rcloud", whole, now), site.prune(now)):
        assert pruned.warnings == ()


def site_names(ends: Ends, dataset: str) -> list[str]:
    listed = ends.zfs("list", "-H", "-t", "snapshot", "-o", "name", "-s", "createtxg", dataset)
    return [name.partition("@")[2] for name in listed]


def cloud_names(ends: Ends, dataset: str) -> list[str]:
    return site_names(ends, f"rcloud/{dataset}")
