"""`ec2zfs pool rekey`: another pool key. Both keys are asked for before anything is started."""

from __future__ import annotations

import argparse

from ec2zfs.cli.verbs import add_verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ec2zfs.cli.session import Session
    from ec2zfs.cli.verbs import Verbs
    from ec2zfs.hosts.secret import Secret
    from ec2zfs.plan.replacement import Caution
    from ec2zfs.runs.rekeying import Rekeyed


def register(group: Verbs) -> None:
    """Add the verb."""
    parser = add_verb(group, "rekey", "give every volume a new pool key, test it, then remove the old one", run)
    parser.add_argument(
        "--replace", action="store_true", help="replace every volume too, by one with a LUKS volume key of its own"
    )
    parser.add_argument(
        "--accept-degraded",
        action="store_true",
        help="with --replace: let an old volume leave before its successor comes, where no attachment is free",
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would be done, and do nothing")


def run(arguments: argparse.Namespace) -> int:
    """Change the key, or show the plan."""
    from ec2zfs.cli.session import session
    from ec2zfs.errors import ExitCode
    from ec2zfs.runs.rekeying import require_encrypted

    with session(arguments) as parts:
        require_encrypted(parts.design)
        caution = parts.caution(accept_degraded=arguments.accept_degraded) if arguments.replace else None
        if arguments.dry_run:
            _preview(parts, caution)
        else:
            _rekey(parts, caution)
    return ExitCode.OK


def _preview(session: Session, caution: Caution | None) -> None:
    from dataclasses import replace
    from datetime import UTC, datetime

    from ec2zfs.cli.upkeep_plan import show_plan
    from ec2zfs.model.standing import Standing
    from ec2zfs.plan.replacement import plan_replacement, rounds
    from ec2zfs.plan.upkeep import Step
    from ec2zfs.plan.volumes import current
    from ec2zfs.runs.outlook import look_ahead

    parts = session.upkeep
    volumes = current(parts.fleet.volumes())
    # Which are fresh already only their key slots tell, which nobody looks at here: all of them at most.
    want = replace(session.want(), stale=frozenset(volume.id for volume in volumes))

    def plan(standing: Standing) -> Step:
        return plan_replacement(want, standing, caution) if caution else ()

    keys = f"the new key is added to {len(volumes)} volumes and tested on each; in the end the old one is removed"
    outlook = look_ahead(parts, plan, lambda: datetime.now(UTC))
    show_plan(session, outlook, {"keys": keys, "rounds": rounds(want, outlook.standing) if caution else None})


def _rekey(session: Session, caution: Caution | None) -> None:
    from datetime import UTC, datetime

    from ec2zfs.cli.run_report import reported
    from ec2zfs.cli.upkeep_plan import pool_words
    from ec2zfs.runs.rekeying import Renewal, rekey

    renewal = Renewal(session.want(), caution) if caution else None
    with session.lock(), reported(session, "pool rekey", datetime.now(UTC)) as run:
        old, new = _keys(session)
        done = rekey(session.upkeep, old, new, run.journal, renewal)
    run.show("rekeying complete", {"volumes": len(done.volumes), **pool_words(None, done.pool)})
    _advise(session, done)


def _keys(session: Session) -> tuple[Secret, Secret]:
    from ec2zfs.cli.pool_key import read_new_pool_key, read_pool_key
    from ec2zfs.hosts.local import LocalHost

    here, chosen = LocalHost(), session.configuration
    old = read_pool_key(chosen.pool_key, here, session.pool)
    return old, read_new_pool_key(chosen.new_pool_key, here, session.pool)


def _advise(session: Session, done: Rekeyed) -> None:
    if done.kept:
        named = ", ".join(f"{volume.mapping} ({volume.id})" for volume in done.kept)
        session.output.warn(f"The old key still opens the volumes that are kept aside until they are deleted: {named}.")
    asked = session.configuration.pool_key.origin == "prompt"
    advice = "give the new one when you are asked" if asked else "put the new one where [pool_key] takes it from"
    session.output.warn(
        f"The old key opens pool {session.pool} no more: {advice}. Copies of the volumes' headers and EBS snapshots "
        "that were made before still open with the old key: delete them."
    )
