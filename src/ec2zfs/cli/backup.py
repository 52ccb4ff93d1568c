"""`ec2zfs backup`: the daily run, or with --dry-run what it would do, with bytes and costs."""

from __future__ import annotations

import argparse

from ec2zfs.cli.verbs import add_verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime

    from ec2zfs.cli.session import Session
    from ec2zfs.cli.verbs import Verbs
    from ec2zfs.cloud.prices import Prices
    from ec2zfs.runs.backup import BackupParts
    from ec2zfs.runs.preview import BackupPreview
    from ec2zfs.runs.report import RunReport
    from ec2zfs.runs.stages import Journal


def register(verbs: Verbs) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs, "backup", "back all sources up: snapshot, start the receiver, unlock, replicate, check, lock, stop", run
    )
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
            _show_preview(parts, preview_backup(backup_parts(parts), now))
        else:
            _back_up(parts, now)
    return ExitCode.OK


def backup_parts(session: Session) -> BackupParts:
    """What the run works with, from the configuration; asks nobody yet."""
    from ec2zfs.runs.backup import BackupParts

    return BackupParts(
        pool=session.pool,
        zone=session.configuration.aws.zone,
        instance_type=session.configured_type,
        site=session.site,
        sources=session.sources,
        receiver=session.receiver,
        fleet=session.fleet,
        attach=session.attached_volumes,
        cloud_pool=session.cloud_pool,
        replicator=session.replicator,
    )


def _back_up(session: Session, now: datetime) -> None:
    from ec2zfs.runs.backup import back_up
    from ec2zfs.runs.stages import Journal

    journal, prices = Journal(session.output), session.prices  # a table that is wrong is told before the run
    with session.lock():
        key = session.pool_key()
        try:
            back_up(backup_parts(session), key, now, journal)
        finally:
            for warning in journal.replicated.warnings if journal.replicated else ():
                session.output.warn(warning)
            report = _report(session, prices, journal, now)
            written = _written(session, report)
    _show_report(session, report, written)


def _report(session: Session, prices: Prices, journal: Journal, began: datetime) -> RunReport:
    from datetime import UTC, datetime

    from ec2zfs.runs.report import RunReport

    ended = datetime.now(UTC)
    cost = prices.instance_run(session.configuration.receiver.instance_type, (ended - began).total_seconds())
    dollars = None if cost is None else float(cost)
    bytes_sent = journal.replicated.bytes if journal.replicated else None
    return RunReport(session.pool, began, ended, tuple(journal.stages), bytes_sent, dollars)


def _written(session: Session, report: RunReport) -> str | None:
    """The report's file. A report that cannot be written is told, and hides nothing of the run."""
    from ec2zfs.runs.report import write_report

    try:
        return str(write_report(report, session.configuration.paths.state / "reports"))
    except OSError as error:
        session.output.warn(f"The report of this run could not be written: {error}.")
        return None


def _show_report(session: Session, report: RunReport, written: str | None) -> None:
    session.output.result(
        "backup complete",
        {
            "pool": report.pool,
            "bytes sent": report.bytes_sent,
            "seconds": round((report.ended - report.started).total_seconds(), 1),
            "receiver USD at most": None if report.cost_usd is None else round(report.cost_usd, 4),
            "prices": session.prices.caption,
            "report": written,
        },
    )


def _show_preview(session: Session, preview: BackupPreview) -> None:
    from decimal import Decimal

    from ec2zfs.cloud.prices import dollars

    output, prices = session.output, session.prices
    steps = [
        {"dataset": plan.replica.source, "step": str(step), "bytes": getattr(step, "bytes", None)}
        for plan in preview.replication.datasets
        for step in (*plan.steps, *((plan.conflict,) if plan.conflict else ()))
    ]
    unsent = [
        {"dataset": plan.replica.source, "step": f"send {preview.snapshot}", "bytes": plan.unsent_bytes}
        for plan in preview.replication.datasets
    ]
    monthly = [prices.volumes_per_month(kind, gib) for kind, gib in preview.volume_gib.items()]
    known = [price for price in monthly if price is not None]
    hourly = prices.instance_per_hour(session.configuration.receiver.instance_type)
    output.table("receiver", [{"action": str(action)} for action in preview.receiver])
    output.table("replication", steps + unsent)
    output.result(
        "dry run: nothing was changed",
        {
            "snapshot": preview.snapshot,
            "volumes to attach and open": preview.volumes,
            "bytes to send, about": preview.bytes,
            "receiver": f"{dollars(hourly)} an hour at most",
            "volumes": f"{dollars(sum(known, Decimal()) if len(known) == len(monthly) else None)} a month",
            "prices": prices.caption,
            "at the end": preview.ending,
        },
    )
