"""`ec2zfs pool grow`: larger volumes, or others, under a pool that stays what it is."""

from __future__ import annotations

import argparse

from ec2zfs.cli.verbs import add_verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime

    from ec2zfs.cli.session import Session
    from ec2zfs.cli.verbs import Verbs
    from ec2zfs.plan.growth import Strategy
    from ec2zfs.plan.replacement import Caution, Want
    from ec2zfs.runs.growth import Growth


def register(group: Verbs) -> None:
    """Add the verb."""
    parser = add_verb(group, "grow", "give the pool larger volumes, or volumes of another type; then scrub it", run)
    parser.add_argument("--size", metavar="GIB", type=int, help="GiB of each volume (volumes.size_gib)")
    parser.add_argument("--type", metavar="TYPE", choices=("gp2", "gp3", "sc1", "st1"), help="EBS type (volumes.type)")
    parser.add_argument(
        "--by", choices=("in-place", "replacement"), help="how: let EC2 enlarge the volumes, or replace them in rounds"
    )
    parser.add_argument(
        "--accept-degraded",
        action="store_true",
        help="let an old volume leave before its successor comes, where no attachment is free",
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would be done, and do nothing")


def run(arguments: argparse.Namespace) -> int:
    """Grow, or show the plan."""
    from datetime import UTC, datetime

    from ec2zfs.cli.session import session
    from ec2zfs.errors import ExitCode
    from ec2zfs.plan.growth import Strategy

    now = datetime.now(UTC)
    with session(arguments) as parts:
        want = parts.want(arguments.size, arguments.type)
        caution = parts.caution(accept_degraded=arguments.accept_degraded)
        forced = Strategy(arguments.by) if arguments.by else None
        if arguments.dry_run:
            _preview(parts, want, forced, caution)
        else:
            _grow(parts, want, forced, caution, now)
    return ExitCode.OK


def _preview(session: Session, want: Want, forced: Strategy | None, caution: Caution) -> None:
    from datetime import UTC, datetime
    from functools import partial

    from ec2zfs.cli.upkeep_plan import show_plan
    from ec2zfs.plan.growth import Strategy, choose, plan_growth
    from ec2zfs.plan.replacement import rounds
    from ec2zfs.runs.outlook import look_ahead

    outlook = look_ahead(session.upkeep, partial(plan_growth, want, forced, caution), lambda: datetime.now(UTC))
    choice = choose(want, outlook.standing, forced)
    replacing = choice.strategy is Strategy.REPLACEMENT
    show_plan(session, outlook, {"way": str(choice), "rounds": rounds(want, outlook.standing) if replacing else None})


def _grow(session: Session, want: Want, forced: Strategy | None, caution: Caution, now: datetime) -> None:
    from ec2zfs.cli.run_report import reported
    from ec2zfs.cli.upkeep_plan import pool_words
    from ec2zfs.runs.growth import grow

    with session.lock(), reported(session, "pool grow", now) as run:
        growth = grow(session.upkeep, want, forced, caution, session.pool_key(), run.journal)
    _warn(session, want, growth)
    run.show("growth complete" if not growth.later else "growth begun", pool_words(growth.before, growth.after))


def _warn(session: Session, want: Want, growth: Growth) -> None:
    if growth.later:
        first = min(volume.schedule.not_before for volume in growth.later if volume.schedule)
        session.output.warn(
            f"EC2 enlarges {len(growth.later)} volumes only later, from {first:%Y-%m-%d %H:%M} UTC on; the daily run "
            "does it then, or this command given again."
        )
    chosen = session.configuration.volumes
    if (chosen.size_gib, chosen.type) != (want.size_gib, want.type):
        session.output.warn(
            f'Set volumes.size_gib = {want.size_gib} and volumes.type = "{want.type}" in the configuration, as the '
            "volumes now are."
        )
