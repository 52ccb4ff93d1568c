"""`ec2zfs holds`: what is held against destruction at the site and in the cloud pool, by whom, and whether it must."""

from __future__ import annotations

import argparse

from ec2zfs.cli.verbs import add_verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ec2zfs.cli.session import Session
    from ec2zfs.cli.verbs import Verbs
    from ec2zfs.execute.hold_listing import ListedHold
    from ec2zfs.hosts.host import Host
    from ec2zfs.model.hold import Hold


def register(verbs: Verbs) -> None:
    """Add the verb."""
    parser = add_verb(verbs, "holds", "show which snapshots are held against destruction, by whom and since when", run)
    parser.add_argument(
        "--release",
        metavar="SNAPSHOT",
        action="append",
        default=[],
        help="take ec2zfs's hold off this snapshot (DATASET@NAME); may be given several times",
    )


def run(arguments: argparse.Namespace) -> int:
    """List, or release under the pool's lock."""
    from ec2zfs.cli.session import session
    from ec2zfs.errors import ExitCode
    from ec2zfs.execute.hold_listing import release

    with session(arguments) as parts:
        if not arguments.release:
            _show(parts, "holds", _listed(parts))
            return ExitCode.OK
        with parts.lock():
            done = release(_listed(parts), parts.pool, arguments.release)
        for each in done:
            if each.needed:
                parts.output.warn(f"{each.hold.snapshot} is still needed; the next backup holds it again.")
        _show(parts, "released", done)
    return ExitCode.OK


def _listed(session: Session) -> Sequence[ListedHold]:
    from ec2zfs.execute.hold_listing import list_holds

    sources = tuple(dict.fromkeys((*session.sources, *session.file_server.sent_sources)))
    return list_holds(session.site, sources, session.pool, _unlocked_receiver(session))


def _unlocked_receiver(session: Session) -> Host | None:
    """The receiver that is up and has the pool imported. A cloud that does not answer leaves the site to be shown."""
    from ec2zfs.errors import CloudError, CredentialsError, HostError, HostKeyChanged, HostKeyUnknown

    try:
        session.running_receiver()
    except HostError:
        return None
    except (CloudError, CredentialsError) as error:
        session.output.warn(f"Only the site's holds are shown. {error}")
        return None
    try:
        host = session.receiver.reach()
        return host if session.cloud_pool(host).found() else None
    except (HostKeyChanged, HostKeyUnknown):
        raise
    except (CloudError, HostError) as error:
        session.output.warn(f"Only the site's holds are shown. {error}")
        return None


def _show(session: Session, event: str, listed: Sequence[ListedHold]) -> None:
    session.output.table(
        event,
        [
            {
                "host": each.host.name,
                "snapshot": each.hold.snapshot,
                "tag": each.hold.tag,
                "since": each.hold.since.isoformat() if each.hold.since else None,
                "whose": _whose(each.hold),
                "needed": each.needed,
            }
            for each in listed
        ],
    )


def _whose(hold: Hold) -> str:
    from ec2zfs.model.hold import STAGING

    if hold.tag == STAGING:
        return "ec2zfs, for staging"
    return f"ec2zfs, for pool {hold.pool}" if hold.pool else "somebody else"
