"""`ec2zfs backup`: the daily run, or with --dry-run what it would do, with bytes and costs."""

from __future__ import annotations

import argparse

from ec2zfs.cli.verbs import add_now, add_verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime

    from ec2zfs.cli.session import Session
    from ec2zfs.cli.verbs import Verbs
    from ec2zfs.runs.backup import BackupParts
    from ec2zfs.runs.preview import BackupPreview


def register(verbs: Verbs) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs,
        "backup",
        "back all sources up: snapshot, stage, start the receiver, unlock, replicate, check, lock, stop, prune",
        run,
    )
    add_now(parser)
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would be done, in bytes and money; do nothing"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run or preview, and show the result."""
    from datetime import UTC, datetime

    from ec2zfs.cli.session import session
    from ec2zfs.errors import ExitCode
    from ec2zfs.runs.preview import preview_backup

    now = datetime.now(UTC)
    with session(arguments) as parts:
        if arguments.dry_run:
            _show_preview(parts, preview_backup(backup_parts(parts), now, arguments.now))
        else:
            _back_up(parts, now, arguments.now)
    return ExitCode.OK


def backup_parts(session: Session) -> BackupParts:
    """What the run works with, from the configuration; asks nobody yet."""
    from ec2zfs.runs.backup import BackupParts

    return BackupParts(session.file_server, session.upkeep, session.replicator, session.staging)


def _back_up(session: Session, now: datetime, at_once: str | None) -> None:
    from ec2zfs.cli.orphans import show_orphans
    from ec2zfs.cli.run_report import reported
    from ec2zfs.runs.backup import back_up

    with session.lock(), reported(session, "backup", now) as run:
        key = session.pool_key()
        try:
            back_up(backup_parts(session), key, now, run.journal, at_once)
        finally:
            for warning in run.journal.warnings:
                session.output.warn(warning)
            replicated = run.journal.replicated
            show_orphans(session.output, [str(each) for each in replicated.orphans] if replicated else ())
    run.show("backup complete", {"pool": session.pool, "bytes sent": run.report.bytes_sent})


def _show_preview(session: Session, preview: BackupPreview) -> None:
    from decimal import Decimal

    from ec2zfs.cli.orphans import show_orphans
    from ec2zfs.cli.stage import show_plan
    from ec2zfs.cloud.prices import dollars
    from ec2zfs.runs.health import last_run

    output, prices = session.output, session.prices
    steps = [
        {"dataset": plan.replica.source, "step": str(step), "bytes": getattr(step, "bytes", None)}
        for plan in preview.replication.datasets
        for step in (*plan.steps, *((plan.conflict,) if plan.conflict else ()))
    ]
    unsent = [
        {"dataset": plan.replica.source, "step": "send what is newer than its snapshots", "bytes": plan.unsent_bytes}
        for plan in preview.replication.datasets
    ]
    monthly = [prices.volumes_per_month(kind, gib) for kind, gib in preview.volume_gib.items()]
    known = [price for price in monthly if price is not None]
    hourly = prices.instance_per_hour(session.configuration.receiver.instance_type)
    output.table("snapshots", [{"action": str(action)} for action in preview.snapshots])
    if preview.staging:
        show_plan(session, preview.staging)
    output.table("receiver", [{"action": str(action)} for action in preview.receiver])
    output.table("replication", steps + unsent)
    if preview.replication.properties:
        output.table("properties of new copies", [{"action": str(each)} for each in preview.replication.properties])
    last = last_run(session.configuration.paths.state / "reports", session.pool)
    show_orphans(output, last.orphans if last else ())
    output.result(
        "dry run: nothing was changed",
        {
            "volumes to attach and open": preview.volumes,
            "bytes to send, about": preview.bytes,
            **({"not counted": preview.uncounted} if preview.uncounted else {}),
            "receiver": f"{dollars(hourly)} an hour at most",
            "volumes": f"{dollars(sum(known, Decimal()) if len(known) == len(monthly) else None)} a month",
            "prices": prices.caption,
            "snapshots to destroy at the site": preview.pruning.count,
            "properties of present copies": "compared when the pool is open",
            "at the end": preview.ending,
        },
    )
