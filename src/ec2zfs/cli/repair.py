"""`ec2zfs repair`: gets what stands between a dataset and its copy out of the way, once it is confirmed.

The only verb that rolls a copy back, or destroys snapshots of one that no policy bids to prune.
"""

from __future__ import annotations

import argparse

from ec2zfs.cli.verbs import add_verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ec2zfs.cli.session import Session
    from ec2zfs.cli.verbs import Verbs
    from ec2zfs.plan.reconciliation import RollBack
    from ec2zfs.runs.reconciliation import Finding


def register(verbs: Verbs) -> None:
    """Add the verb."""
    summary = "bring a copy that parted from its source together with it again: roll it back, or set it aside"
    parser = add_verb(verbs, "repair", summary, run)
    parser.add_argument("dataset", metavar="DATASET", help="the dataset at the site, or its copy's full name")
    parser.add_argument(
        "--set-aside", action="store_true", help="keep the copy under another name, so that a new one is made"
    )
    parser.add_argument("--confirm", metavar="DATASET", help="the dataset's name, instead of typing it when asked")
    parser.add_argument("--dry-run", action="store_true", help="show what would be done, and change nothing")


def run(arguments: argparse.Namespace) -> int:
    """Look at both sides, show what would be done, and do it when it is confirmed."""
    from datetime import UTC, datetime

    from ec2zfs.cli.run_report import reported
    from ec2zfs.cli.session import session
    from ec2zfs.errors import ExitCode
    from ec2zfs.runs.reconciliation import ReconciliationParts, Wish, reconcile

    with session(arguments) as parts, parts.lock(), reported(parts, "repair", datetime.now(UTC)) as run:
        wish = Wish(arguments.dataset, arguments.set_aside)
        work = ReconciliationParts(parts.file_server.sent_sources, parts.upkeep, parts.replicator)
        finding = reconcile(work, wish, parts.pool_key(), run.journal, _agreement(parts, arguments))
    run.show(*_told(finding, dry_run=arguments.dry_run))
    return ExitCode.OK


def _agreement(session: Session, arguments: argparse.Namespace) -> Callable[[Finding], bool]:
    """Show what would be done, and find out whether it is to be."""

    def agreed(finding: Finding) -> bool:
        from ec2zfs.cli.confirmation import confirm

        _show(session, finding)
        if not arguments.dry_run:
            confirm(str(finding.remedy), arguments.dataset, arguments.confirm, kind="dataset")
        return not arguments.dry_run

    return agreed


def _show(session: Session, finding: Finding) -> None:
    from ec2zfs.plan.reconciliation import RollBack, SetAside

    values: dict[str, object] = {"conflict": str(finding.conflict), "repair": str(finding.remedy)}
    match finding.remedy:
        case RollBack() as back:
            rows = [{"snapshot": str(each), "GUID": each.guid} for each in back.doomed]
            session.output.table("snapshots that would be destroyed", rows)
            values |= _roll_back_words(back, finding)
        case SetAside() as aside:
            session.output.table("copies that would go with it", [{"copy": name} for name in aside.below])
            values |= {"snapshots destroyed": 0, "copies below it": len(aside.below)}
    session.output.result("what would be done", values)


def _roll_back_words(remedy: RollBack, finding: Finding) -> dict[str, object]:
    return {
        "snapshots destroyed": len(remedy.doomed),
        "bytes they free": finding.freed,
        "bytes discarded that were written since": remedy.written,
        "partly received stream": "is dropped" if remedy.partial else None,
    }


def _told(finding: Finding, *, dry_run: bool) -> tuple[str, dict[str, object]]:
    """The last words of the run: a heading and what it came to."""
    from ec2zfs.plan.reconciliation import SetAside

    values: dict[str, object] = {"dataset": finding.replica.source, "copy": finding.replica.target}
    if finding.remedy is None:
        return "nothing to repair: nothing was changed", values
    if dry_run:
        return "dry run: nothing was changed", values
    following = "`ec2zfs backup` carries on from there"
    if isinstance(finding.remedy, SetAside):
        following = "`ec2zfs backup` makes a new copy"
        values["when that is complete"] = f"`zfs destroy -r '{finding.remedy.name}'` on the receiver ends the old one"
    return "repair complete", {**values, "done": str(finding.remedy), "next": following}
