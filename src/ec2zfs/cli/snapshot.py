"""`ec2zfs snapshot`: takes the snapshots that are due at the site. Asks nothing of the cloud; for a timer."""

from __future__ import annotations

import argparse

from ec2zfs.cli.verbs import add_now, add_verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ec2zfs.cli.verbs import Verbs


def register(verbs: Verbs) -> None:
    """Add the verb."""
    parser = add_verb(verbs, "snapshot", "take the snapshots that are due at the site", run)
    add_now(parser)
    parser.add_argument("--dry-run", action="store_true", help="show what is due; take nothing")


def run(arguments: argparse.Namespace) -> int:
    """Take what is due, or show it."""
    from datetime import UTC, datetime

    from ec2zfs.cli.session import session
    from ec2zfs.errors import ExitCode

    now = datetime.now(UTC)
    with session(arguments) as parts:
        site = parts.file_server
        due = site.due(now, arguments.now) if arguments.dry_run else site.take_due(now, arguments.now)
        rows = [
            {"snapshot": action.name, "period": action.period, "pool": action.pool, "datasets": len(action.datasets)}
            for action in due
        ]
        parts.output.table("snapshots due, none taken" if arguments.dry_run else "snapshots taken", rows)
    return ExitCode.OK
