"""`ec2zfs prune`: destroys what the policies do not keep at the site, in the sources and in the staging pool, or with
--dry-run shows each victim and why."""

from __future__ import annotations

import argparse

from ec2zfs.cli.verbs import add_verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ec2zfs.cli.session import Session
    from ec2zfs.cli.verbs import Verbs
    from ec2zfs.execute.pruning import Pruned, PruningPlan


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
            plans = [parts.file_server.plan_pruning(now)]
            plans += [parts.staging.plan_pruning(now)] if parts.staging else []
            _show(parts, plans)
        else:
            _report(parts, "site pruned", parts.file_server.prune(now))
            if parts.staging:
                _report(parts, "staging pool pruned", parts.staging.prune(now))
    return ExitCode.OK


def _report(session: Session, event: str, pruned: Pruned) -> None:
    for warning in pruned.warnings:
        session.output.warn(warning)
    session.output.result(event, {"snapshots destroyed": pruned.count, "bytes freed": pruned.bytes})


def _show(session: Session, plans: Sequence[PruningPlan]) -> None:
    from ec2zfs.execute.pruning import freed

    rows = [
        {"snapshot": str(verdict.snapshot), "bytes of its own": used, "reason": verdict.reason}
        for plan in plans
        for action in plan.actions
        for verdict, used in zip(action.verdicts, action.used, strict=True)
    ]
    spared = [
        {"snapshot": str(verdict.snapshot), "kept because": verdict.reason} for plan in plans for verdict in plan.spared
    ]
    sizes = [size for plan in plans for size in freed(session.site, plan)]
    session.output.table("snapshots to destroy", rows)
    if spared:
        session.output.table("snapshots that are spared", spared)
    session.output.result(
        "dry run: nothing was destroyed",
        {
            "snapshots to destroy": sum(plan.count for plan in plans),
            "bytes that it frees": None if None in sizes else sum(filter(None, sizes)),
        },
    )
