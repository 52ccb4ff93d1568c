"""`ec2zfs restore`: files out of what is staged, decrypted, with all their metadata; and the list of what there is.

From a folder (`--folder`) it needs no configuration: a staged dataset anywhere, or a copy of one, and the identity.
With `--from cloud` the receiver is started on demand, and what is wanted is fetched as it stands there, encrypted.
"""

from __future__ import annotations

import argparse
import os
from contextlib import contextmanager
from typing import NamedTuple

from ec2zfs.cli.verbs import add_group, add_verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ec2zfs.cli.output import Output
    from ec2zfs.cli.session import Session
    from ec2zfs.cli.verbs import Verbs
    from ec2zfs.encryption.identities import Identity
    from ec2zfs.runs.cloud_files import Wish
    from ec2zfs.runs.staged_files import StagedFiles
    from ec2zfs.staging.objects import Objects
    from ec2zfs.staging.restoring import Problem, Restored


class Place(NamedTuple):
    """Where the files are, and what they are read with."""

    output: Output
    staged: StagedFiles
    identity: Identity
    objects: Objects


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    group = add_group(verbs, "restore", "bring files back out of what is staged, or list what there is")
    files = add_verb(group, "files", "decrypt files into a new directory, with all their metadata", _files)
    _add_arguments(files)
    files.add_argument("--to", metavar="DIR", required=True, help="directory to restore into; new, or empty")
    listing = add_verb(group, "list", "list the versions of files, and as of which snapshots there are any", _list)
    _add_arguments(listing)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    from ec2zfs.cli.identity import add_identity

    parser.add_argument(
        "pattern",
        nargs="*",
        metavar="PATTERN",
        help="paths in the source, in which *, ?, […] and ** may stand; a directory with all that is in it; none: all",
    )
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--dataset", metavar="DATASET", help="the source, as it was called when it was staged")
    place.add_argument("--folder", metavar="DIR", help="a folder of staged files, wherever it stands")
    parser.add_argument(
        "--from",
        dest="tier",
        choices=("staging", "cloud"),
        default="staging",
        help="with --dataset: from the staging pool, or from its copy in the cloud pool",
    )
    parser.add_argument(
        "--at",
        metavar="TIME",
        help="as of the newest snapshot that is not younger: ISO 8601, in UTC unless it says otherwise; or the"
        " snapshot's name; without it the newest",
    )
    add_identity(parser, required=True)


def _files(arguments: argparse.Namespace) -> int:
    from pathlib import Path

    from ec2zfs.errors import ExitCode
    from ec2zfs.execute.staging import Meter
    from ec2zfs.staging.restoring import Choice, require_vacant, restored

    target = Path(arguments.to)
    require_vacant(target)
    with _place(arguments, target.absolute()) as place:
        choice = Choice(tuple(arguments.pattern), place.staged.number)
        with place.output.bar(f"restore {place.staged}", None, "B") as bar:
            told = Meter(bar).told
            found = restored(place.staged.folder, place.identity, choice, target, told, place.objects)
    _show(place.output, found, arguments.to)
    _require_whole(found)
    return ExitCode.OK


def _list(arguments: argparse.Namespace) -> int:
    from ec2zfs.errors import ExitCode
    from ec2zfs.staging.listing import versions

    with _place(arguments) as place:
        found = versions(place.staged.folder, place.identity, arguments.pattern)
    rows = [
        {
            "path": _shown(path),
            "from snapshot": each.label.snapshot,
            "taken": _time(each.label.created),
            "kind": each.kind.name.lower() if each.kind else "gone",
            "bytes": each.size,
            "modified": _time(each.modified // 1_000_000_000) if each.kind else None,
        }
        for path, history in found.items()
        for each in history
        if place.staged.number is None or each.number <= place.staged.number
    ]
    place.output.table("versions", rows)
    return ExitCode.OK


@contextmanager
def _place(arguments: argparse.Namespace, target: Path | None = None) -> Iterator[Place]:
    """Where the files are; what is fetched lies beside `target` (else where temporary files do) as long as needed."""
    from pathlib import Path

    from ec2zfs.cli.identity import given_identity
    from ec2zfs.cli.output import chosen_output
    from ec2zfs.cli.session import session
    from ec2zfs.cli.stage import required_staging
    from ec2zfs.errors import ConfigurationError
    from ec2zfs.runs.cloud_files import Wish
    from ec2zfs.runs.staged_files import in_folder, time_or_name
    from ec2zfs.staging.objects import PRESENT

    at = time_or_name(arguments.at) if arguments.at else None
    if arguments.folder:
        if arguments.tier == "cloud":
            raise ConfigurationError("--from cloud belongs to a --dataset, and not to a --folder.")
        identity = _required(given_identity(arguments))
        yield Place(chosen_output(arguments), in_folder(Path(arguments.folder), identity, at), identity, PRESENT)
        return
    with session(arguments) as parts:
        if arguments.tier == "cloud":
            identity = _required(given_identity(arguments))
            with _from_cloud(parts, identity, Wish(arguments.dataset, at), target) as place:
                yield place
        else:
            files = required_staging(parts).files(arguments.dataset, at)
            yield Place(parts.output, files, _required(given_identity(arguments)), PRESENT)


@contextmanager
def _from_cloud(session: Session, identity: Identity, wish: Wish, target: Path | None) -> Iterator[Place]:
    import tempfile
    from datetime import UTC, datetime
    from pathlib import Path

    from ec2zfs.cli.run_report import reported
    from ec2zfs.cli.stage import required_staging
    from ec2zfs.encryption.streams import shown, unwritable
    from ec2zfs.errors import Refused
    from ec2zfs.runs.cloud_files import CloudFilesParts, cloud_files

    parts = CloudFilesParts(session.upkeep, session.carrier, required_staging(session).root)
    room = next(each for each in target.parents if os.path.isdir(each)) if target else None  # noqa: PTH112 - raises nothing
    if target and os.path.ismount(target):
        raise Refused(
            f"{shown(str(target))} is a mount point, so what is fetched would lie on another file system, beside it.",
            hint="Restore into a directory below it.",
        )
    try:
        fetched = tempfile.TemporaryDirectory(prefix=".ec2zfs-fetched-", dir=room)
    except OSError as error:
        raise unwritable(shown(str(room or tempfile.gettempdir())), error) from error
    with (
        fetched as folder,
        session.lock(),
        reported(session, "restore", datetime.now(UTC)) as run,
        cloud_files(parts, session.pool_key(), identity, wish, Path(folder), run.journal) as (files, objects),
    ):
        yield Place(session.output, files, identity, objects)


def _required(identity: Identity | None) -> Identity:
    assert identity is not None, "argparse requires it"  # noqa: S101
    return identity


def _show(output: Output, found: Restored, target: str) -> None:
    for problems, heading in (
        (found.failed, "paths that are missing"),
        (found.incomplete, "paths without all metadata"),
    ):
        if problems:
            output.table(heading, _rows(problems))
    output.result(
        "restored",
        {
            "into": target,
            "snapshot": f"{found.label.dataset}@{found.label.snapshot}",
            "names": found.names,
            "bytes": found.bytes,
            "missing": len(found.failed),
            "without all metadata": len(found.incomplete),
        },
    )


def _rows(problems: Sequence[Problem]) -> list[dict[str, object]]:
    return [{"path": _shown(each.path), "why": each.why} for each in problems]


def _require_whole(found: Restored) -> None:
    """Raise when something that was asked for is not there, or not all of it."""
    from ec2zfs.errors import RestoreIncomplete

    if found.unmatched:
        raise RestoreIncomplete(
            f"Nothing is called {', '.join(found.unmatched)} in {found.label.dataset}@{found.label.snapshot}.",
            hint="`ec2zfs restore list` shows what there is.",
        )
    if found.failed or found.incomplete:
        worst = (*found.failed, *found.incomplete)[0]
        raise RestoreIncomplete(
            f"{len(found.failed)} paths could not be restored, and {len(found.incomplete)} have not all of their"
            f" metadata; the first is {_shown(worst.path)}: {worst.why}.",
            hint="All others are there. To restore owners and modes, run it as root.",
        )


def _shown(path: bytes) -> str:
    from ec2zfs.encryption.streams import shown

    return shown(os.fsdecode(path) or ".")


def _time(seconds: int) -> str:
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
