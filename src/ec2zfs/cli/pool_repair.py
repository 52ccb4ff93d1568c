"""`ec2zfs pool repair`: members that are out come back, what is lost is replaced."""

from __future__ import annotations

import argparse

from ec2zfs.cli.verbs import add_verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ec2zfs.cli.session import Session
    from ec2zfs.cli.verbs import Verbs
    from ec2zfs.plan.replacement import Caution


def register(group: Verbs) -> None:
    """Add the verb."""
    parser = add_verb(group, "repair", "bring back what came off the pool, and replace what is lost", run)
    parser.add_argument(
        "--replace", metavar="VOLUME", action="append", default=[], help="replace this volume whatever its state"
    )
    parser.add_argument(
        "--accept-degraded",
        action="store_true",
        help="let a volume leave before its successor comes, where no attachment is free",
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would be done, and do nothing")


def run(arguments: argparse.Namespace) -> int:
    """Repair, or show the plan."""
    from ec2zfs.cli.session import session
    from ec2zfs.errors import ExitCode

    with session(arguments) as parts:
        condemned = _condemned(parts, arguments.replace)
        caution = parts.caution(accept_degraded=arguments.accept_degraded)
        if arguments.dry_run:
            _preview(parts, caution, condemned)
        else:
            _repair(parts, caution, condemned)
    return ExitCode.OK


def _condemned(session: Session, ids: list[str]) -> frozenset[str]:
    """The ids, each of which is a volume of the pool."""
    from ec2zfs.errors import Refused

    known = {volume.id for volume in session.fleet.volumes()} if ids else set()
    for each in ids:
        if each not in known:
            raise Refused(
                f"{each} is no volume of pool {session.pool}.", hint="`ec2zfs volumes list` shows which there are."
            )
    return frozenset(ids)


def _preview(session: Session, caution: Caution, condemned: frozenset[str]) -> None:
    from datetime import UTC, datetime
    from functools import partial

    from ec2zfs.cli.upkeep_plan import show_plan
    from ec2zfs.plan.repair import Mending, plan_repair
    from ec2zfs.runs.outlook import look_ahead

    plan = partial(plan_repair, session.want(), caution=caution, mending=Mending(condemned=condemned))
    show_plan(session, look_ahead(session.upkeep, plan, lambda: datetime.now(UTC)), {})


def _repair(session: Session, caution: Caution, condemned: frozenset[str]) -> None:
    from datetime import UTC, datetime

    from ec2zfs.cli.run_report import reported
    from ec2zfs.cli.upkeep_plan import pool_words
    from ec2zfs.runs.repair import repair

    with session.lock(), reported(session, "pool repair", datetime.now(UTC)) as run:
        status = repair(session.upkeep, session.want(), caution, condemned, session.pool_key(), run.journal)
    run.show("repair complete", pool_words(None, status))
