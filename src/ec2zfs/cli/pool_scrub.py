"""`ec2zfs pool scrub`: read everything and compare checksums; what redundancy can mend is mended."""

from __future__ import annotations

import argparse

from ec2zfs.cli.verbs import add_verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ec2zfs.cli.session import Session
    from ec2zfs.cli.verbs import Verbs


def register(group: Verbs) -> None:
    """Add the verb."""
    parser = add_verb(group, "scrub", "check every block of the pool, or take up a scrub that was cut off", run)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--pause", action="store_true", help="let the scrub that runs rest; a scrub takes it up again")
    how.add_argument(
        "--wait", action="store_true", help="open the pool if it is locked, wait for the end, and lock it again"
    )


def run(arguments: argparse.Namespace) -> int:
    """Scrub, or pause."""
    from ec2zfs.cli.session import session
    from ec2zfs.errors import ExitCode

    with session(arguments) as parts, parts.lock():
        if arguments.wait:
            _wait(parts)
        else:
            _on_open_pool(parts, pause=arguments.pause)
    return ExitCode.OK


def _wait(session: Session) -> None:
    from datetime import UTC, datetime

    from ec2zfs.cli.run_report import reported
    from ec2zfs.cli.upkeep_plan import pool_words
    from ec2zfs.runs.scrubbing import scrub_to_its_end

    with reported(session, "pool scrub", datetime.now(UTC)) as run:
        status = scrub_to_its_end(session.upkeep, session.pool_key(), run.journal)
    run.show("scrub complete", pool_words(None, status))


def _on_open_pool(session: Session, *, pause: bool) -> None:
    from ec2zfs.errors import Refused
    from ec2zfs.plan.upkeep import StartScan

    host = session.receiver.reach()
    if session.cloud_pool(host).found() is None:
        raise Refused(
            f"Pool {session.pool} is locked.", hint="`ec2zfs pool scrub --wait` opens it, scrubs and locks it again."
        )
    members = session.members(host)
    with session.receiver.dead_man(host):
        if pause:
            members.pause_scrub()
        else:
            members.carry_out((StartScan(),), None)
    minutes = session.configuration.receiver.dead_man_minutes
    session.output.say(
        "The scrub rests."
        if pause
        else f"The scrub runs. The receiver powers itself off in {minutes} minutes unless "
        "ec2zfs works on it; the scrub then goes on when the pool is opened again."
    )
