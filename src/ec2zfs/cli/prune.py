"""`ec2zfs prune`: destroys what the policies do not keep at the site, or with --dry-run shows each victim and why."""

from __future__ import annotations

import argparse

from ec2zfs.cli.verbs import add_verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ec2zfs.cli.session import Session
    from ec2zfs.cli.verbs import Verbs
    from ec2zfs.execute.pruning import PruningPlan


def register(verbs: Verbs) -> None:
    """Add the verb."""
    parser = add_verb(verbs, "prune", "destroy the snapshots that the policies do not keep at the site", run)
    parser.add_argument(
        "--dry-run", action="store_true", help="show each victim, why it goes, and what that frees; destroy nothing"
    )


def run(arguments: argparse.Namespace) -> int:
    """Prune the site, or show what would go."""
    from datetime import UTC, datetime

    from ec2zfs.cli.session import session
    from ec2zfs.errors import ExitCode

    now = datetime.now(UTC)
    with session(arguments) as parts:
        if arguments.dry_run:
            _show(parts, parts.file_server.plan_pruning(now))
        else:
            pruned = parts.file_server.prune(now)
            for warning in pruned.warnings:
                parts.output.warn(warning)
            parts.output.result("site pruned", {"snapshots destroyed": pruned.count, "bytes freed": pruned.bytes})
    return ExitCode.OK


def _show(session: Session, plan: PruningPlan) -> None:
    from ec2zfs.execute.pruning import freed

    rows = [
        {"snapshot": str(verdict.snapshot), "bytes of its own": used, "reason": verdict.reason}
        for action in plan.actions
        for verdict, used in zip(action.verdicts, action.used, strict=True)
    ]
    spared = [{"snapshot": str(verdict.snapshot), "kept because": verdict.reason} for verdict in plan.spared]
    sizes = freed(session.site, plan)
    session.output.table("snapshots to destroy", rows)
    if spared:
        session.output.table("snapshots that are spared", spared)
    session.output.result(
        "dry run: nothing was destroyed",
        {
            "snapshots to destroy": plan.count,
            "bytes that it frees": None if None in sizes else sum(filter(None, sizes)),
        },
    )
