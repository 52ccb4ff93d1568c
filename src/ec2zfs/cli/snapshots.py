"""`ec2zfs snapshots`: the snapshots at the site, with the rule that keeps each and the time until which it does."""

from __future__ import annotations

import argparse

from ec2zfs.cli.verbs import add_verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ec2zfs.cli.verbs import Verbs


def register(verbs: Verbs) -> None:
    """Add the verb."""
    parser = add_verb(verbs, "snapshots", "list the site's snapshots: what keeps each, and until when", run)
    parser.add_argument("dataset", nargs="*", metavar="DATASET", help="only of these datasets")


def run(arguments: argparse.Namespace) -> int:
    """List them."""
    from datetime import UTC, datetime

    from ec2zfs.cli.session import session
    from ec2zfs.errors import ExitCode

    with session(arguments) as parts:
        rows = [
            {
                "dataset": fate.verdict.snapshot.dataset,
                "snapshot": fate.verdict.snapshot.name,
                "kept": fate.verdict.kept,
                "reason": fate.verdict.reason,
                "until": fate.until and f"{fate.until:%Y-%m-%dT%H:%M:%SZ}",
            }
            for fate in parts.file_server.fates(datetime.now(UTC), arguments.dataset)
        ]
        parts.output.table("snapshots", rows)
    return ExitCode.OK
