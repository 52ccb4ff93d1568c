"""`ec2zfs stage verify`: proves what is staged, without an identity by the ciphertexts' digests, with one whole."""

from __future__ import annotations

import argparse
from contextlib import contextmanager

from ec2zfs.cli.verbs import add_verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ec2zfs.cli.output import Output
    from ec2zfs.cli.verbs import Verbs
    from ec2zfs.encryption.identities import Identity
    from ec2zfs.runs.staged_files import StagedFiles
    from ec2zfs.staging.verification import Verified


def register(verbs: Verbs) -> None:
    """Add the verb."""
    from ec2zfs.cli.identity import add_identity

    parser = add_verb(verbs, "verify", "prove what is staged: the ciphertexts, and with an identity the contents", run)
    parser.add_argument("dataset", nargs="*", metavar="DATASET", help="only of these sources")
    parser.add_argument(
        "--folder", metavar="DIR", help="a folder of staged files, wherever it stands, and not the staging pool"
    )
    add_identity(parser, required=False)


def run(arguments: argparse.Namespace) -> int:
    """Look at everything, show what was found."""
    from ec2zfs.cli.identity import given_identity
    from ec2zfs.errors import Damaged, ExitCode

    with _places(arguments) as (output, places):
        identity = given_identity(arguments)
        found = [(each, _verified(output, each, identity)) for each in places]
        rows = [
            {"folder": str(staged), "path": finding.path, "why": finding.why}
            for staged, verified in found
            for finding in verified.findings
        ]
        if rows:
            output.table("findings", rows)
        output.result(
            "verified",
            {
                "folders": len(found),
                "objects": sum(verified.objects for _, verified in found),
                "bytes": sum(verified.bytes for _, verified in found),
                "files that staging could not read": sum(verified.unread for _, verified in found),
                "proved": "contents, names and ciphertexts" if identity else "ciphertexts",
                "findings": len(rows),
            },
        )
        if rows:
            raise Damaged(
                f"{len(rows)} things that are staged are not as they should be; the first is {rows[0]['path']} of"
                f" {rows[0]['folder']}: {rows[0]['why']}.",
                hint="`ec2zfs stage --again` encrypts everything again; scrub the pool first (`zpool status -v`).",
            )
    return ExitCode.OK


def _verified(output: Output, staged: StagedFiles, identity: Identity | None) -> Verified:
    from ec2zfs.execute.staging import Meter
    from ec2zfs.staging.verification import verified

    with output.bar(f"verify {staged}", None, "B") as bar:
        return verified(staged.folder, identity, Meter(bar).told)


@contextmanager
def _places(arguments: argparse.Namespace) -> Iterator[tuple[Output, list[StagedFiles]]]:
    from pathlib import Path

    from ec2zfs.cli.output import chosen_output
    from ec2zfs.cli.session import session
    from ec2zfs.cli.stage import required_staging
    from ec2zfs.runs.staged_files import StagedFiles

    if arguments.folder:
        yield chosen_output(arguments), [StagedFiles(Path(arguments.folder))]
        return
    with session(arguments) as parts:
        staging = required_staging(parts)
        chosen = [staging.files(each) for each in arguments.dataset]
        yield parts.output, chosen or list(staging.all_files())
