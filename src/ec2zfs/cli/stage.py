"""`ec2zfs stage`: brings the staging pool up to the newest snapshots of the sources, every file encrypted."""

from __future__ import annotations

import argparse

from ec2zfs.cli.verbs import add_verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ec2zfs.cli.session import Session
    from ec2zfs.cli.verbs import Verbs
    from ec2zfs.execute.staging_report import StagingReport
    from ec2zfs.plan.staging import StagingPlan
    from ec2zfs.runs.staging import Staging


def register(verbs: Verbs) -> None:
    """Add the verb, and the one that belongs to it."""
    from ec2zfs.cli import stage_verify

    parser = add_verb(verbs, "stage", "encrypt what changed in the sources into the staging pool", run)
    parser.add_argument(
        "--full", action="store_true", help="compare whole trees now, and not only where `zfs diff` says so"
    )
    parser.add_argument(
        "--again", action="store_true", help="encrypt every file again, with the next snapshots that are to be staged"
    )
    parser.add_argument("--dry-run", action="store_true", help="show what is to be staged; change nothing")
    stage_verify.register(parser.add_subparsers(dest="subverb", metavar="[VERB]", required=False))


def run(arguments: argparse.Namespace) -> int:
    """Stage, or show what would be."""
    from datetime import UTC, datetime

    from ec2zfs.cli.session import session
    from ec2zfs.errors import ExitCode
    from ec2zfs.runs.staging import Emphasis

    now, emphasis = datetime.now(UTC), Emphasis(arguments.full, arguments.again)
    with session(arguments) as parts:
        staging = required_staging(parts)
        if arguments.dry_run:
            plan = staging.plan(now, emphasis)
            show_plan(parts, plan)
            conflicts = sum(each.conflict is not None for each in plan.datasets)
            values = {"steps": len(plan.steps), "datasets in conflict": conflicts}
            parts.output.result("dry run: nothing was changed", values)
            return ExitCode.OK
        report = staging.stage(now, emphasis)
        show_staged(parts, report)
        report.raise_for_errors()
    return ExitCode.OK


def required_staging(session: Session) -> Staging:
    """The staging pool. Raises `ConfigurationError` where nothing is staged."""
    from ec2zfs.errors import ConfigurationError

    if session.staging is None:
        raise ConfigurationError(
            "Nothing is to be staged: [staging] has no dataset, or every [[source]] says staged = false.",
            hint="`ec2zfs init` shows the keys.",
        )
    return session.staging


def show_staged(session: Session, report: StagingReport) -> None:
    """Tell what was staged, and what was not."""
    for warning in report.warnings:
        session.output.warn(warning)
    rows = [
        {
            "snapshot": each.snapshot,
            "told by zfs diff": each.brought.entries,
            "missed by it": None if each.brought.base else each.brought.missed,
            "files encrypted": each.brought.encrypted,
            "bytes": each.brought.bytes,
            "moved": each.brought.moved,
            "removed": each.brought.removed,
            "unread": len(each.brought.unread),
        }
        for each in report.snapshots
    ]
    session.output.table("snapshots staged", rows)
    session.output.result(
        "staged",
        {
            "snapshots": len(rows),
            "files encrypted": sum(each.brought.encrypted for each in report.snapshots),
            "bytes": sum(each.brought.bytes for each in report.snapshots),
            "datasets with faults": sum(bool(each.error) for each in report.datasets),
            "files that could not be read": len(report.unread),
        },
    )


def show_plan(session: Session, plan: StagingPlan) -> None:
    """Show what is to be staged, and what stands in the way."""
    rows = [{"dataset": each.source, "step": str(step)} for each in plan.datasets for step in each.steps]
    rows += [{"dataset": each.source, "step": str(each.conflict)} for each in plan.datasets if each.conflict]
    rows += [{"dataset": each.source, "step": each.skipped} for each in plan.datasets if each.skipped]
    session.output.table("steps of staging", rows)
