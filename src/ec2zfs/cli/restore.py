"""`ec2zfs restore`: files out of what is staged, decrypted, with all their metadata; and the list of what there is.

From a folder (`--folder`) it needs no configuration: a staged dataset anywhere, or a copy of one, and the identity.
"""

from __future__ import annotations

import argparse
from contextlib import contextmanager

from ec2zfs.cli.verbs import add_group, add_verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from ec2zfs.cli.output import Output
    from ec2zfs.cli.verbs import Verbs
    from ec2zfs.encryption.identities import Identity
    from ec2zfs.runs.staged_files import StagedFiles
    from ec2zfs.staging.restoring import Problem, Restored


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
    from ec2zfs.staging.restoring import Choice, restored

    with _place(arguments) as (output, staged, identity):
        choice = Choice(tuple(arguments.pattern), staged.number)
        with output.bar(f"restore {staged}", None, "B") as bar:
            found = restored(staged.folder, identity, choice, Path(arguments.to), Meter(bar).told)
        _show(output, found, arguments.to)
        _require_whole(found)
    return ExitCode.OK


def _list(arguments: argparse.Namespace) -> int:
    from ec2zfs.errors import ExitCode
    from ec2zfs.staging.listing import versions

    with _place(arguments) as (output, staged, identity):
        found = versions(staged.folder, identity, arguments.pattern)
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
            if staged.number is None or each.number <= staged.number
        ]
        output.table("versions", rows)
    return ExitCode.OK


@contextmanager
def _place(arguments: argparse.Namespace) -> Iterator[tuple[Output, StagedFiles, Identity]]:
    from pathlib import Path

    from ec2zfs.cli.identity import given_identity
    from ec2zfs.cli.output import chosen_output
    from ec2zfs.cli.session import session
    from ec2zfs.cli.stage import required_staging
    from ec2zfs.runs.staged_files import in_folder, time_or_name

    at: datetime | str | None = time_or_name(arguments.at) if arguments.at else None

    if arguments.folder:
        identity = _required(given_identity(arguments))
        yield chosen_output(arguments), in_folder(Path(arguments.folder), identity, at), identity
        return
    with session(arguments) as parts:
        files = required_staging(parts).files(arguments.dataset, at)
        yield parts.output, files, _required(given_identity(arguments))


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
    import os

    from ec2zfs.encryption.files import shown

    return shown(os.fsdecode(path) or ".")


def _time(seconds: int) -> str:
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
