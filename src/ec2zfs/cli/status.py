"""`ec2zfs status`: how fresh each dataset is in every tier. For monitoring: 0 fine, 1 late, 2 broken."""

from __future__ import annotations

import argparse

from ec2zfs.cli.verbs import add_verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime

    from ec2zfs.cli.verbs import Verbs


def register(verbs: Verbs) -> None:
    """Add the verb."""
    add_verb(verbs, "status", "show how fresh every dataset is; exits with 0 (fine), 1 (late) or 2 (broken)", run)


def run(arguments: argparse.Namespace) -> int:
    """Look and show."""
    from datetime import UTC, datetime

    from ec2zfs.cli.orphans import show_orphans
    from ec2zfs.cli.session import session
    from ec2zfs.model.policy import Tier
    from ec2zfs.runs.health import look

    now = datetime.now(UTC)
    with session(arguments) as parts:
        reports = parts.configuration.paths.state / "reports"
        health = look(parts.file_server, parts.pool, reports, now, parts.staging)
        rows = [
            {
                "dataset": each.dataset,
                "tier": str(each.tier),
                "state": str(each.state),
                "newest": _time(each.newest),
                "age hours": None if each.newest is None else round((now - each.newest).total_seconds() / 3600, 1),
                "backlog bytes": health.backlog.get(each.dataset) if each.tier is Tier.CLOUD else None,
                "next due": _time(each.next_due),
                "reason": each.reason,
            }
            for each in health.datasets
        ]
        last = health.last_run
        parts.output.table("datasets", rows)
        show_orphans(parts.output, last.orphans if last else ())
        parts.output.result(
            "status",
            {
                "state": str(health.state),
                "last run": last.started if last else None,
                "its failure": last.failure if last else None,
            },
        )
    return int(health.state)


def _time(when: datetime | None) -> str | None:
    return f"{when:%Y-%m-%dT%H:%M:%SZ}" if when else None
