"""`ec2zfs pool add-vdev`: vdevs of the pool's own shape, until there are as many as the configuration says."""

from __future__ import annotations

import argparse

from ec2zfs.cli.verbs import add_verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ec2zfs.cli.session import Session
    from ec2zfs.cli.verbs import Verbs


def register(group: Verbs) -> None:
    """Add the verb."""
    parser = add_verb(group, "add-vdev", "add vdevs until the pool has as many as pool.vdevs says", run)
    parser.add_argument("--dry-run", action="store_true", help="show what would be done and its price, and do nothing")


def run(arguments: argparse.Namespace) -> int:
    """Add, or show the plan."""
    from ec2zfs.cli.session import session
    from ec2zfs.errors import ExitCode

    with session(arguments) as parts:
        if arguments.dry_run:
            _preview(parts)
        else:
            _add(parts)
    return ExitCode.OK


def _preview(session: Session) -> None:
    from datetime import UTC, datetime
    from functools import partial

    from ec2zfs.cli.upkeep_plan import show_plan
    from ec2zfs.plan.addition import plan_addition
    from ec2zfs.runs.addition import require_room
    from ec2zfs.runs.outlook import look_ahead

    require_room(session.upkeep)
    outlook = look_ahead(session.upkeep, partial(plan_addition, session.want()), lambda: datetime.now(UTC))
    layout = session.design.layout
    show_plan(session, outlook, {"layout": str(layout), "vdevs now": len(outlook.standing.pool.vdevs)})


def _add(session: Session) -> None:
    from datetime import UTC, datetime

    from ec2zfs.cli.run_report import reported
    from ec2zfs.cli.upkeep_plan import pool_words
    from ec2zfs.runs.addition import add_vdevs

    with session.lock(), reported(session, "pool add-vdev", datetime.now(UTC)) as run:
        status = add_vdevs(session.upkeep, session.want(), session.pool_key(), run.journal)
    run.show("vdevs complete", {"vdevs": len(status.vdevs), **pool_words(None, status)})
