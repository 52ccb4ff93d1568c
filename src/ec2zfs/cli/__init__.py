"""The command line: one file a verb. Parses, runs the verb's handler, and turns how it ended into an exit code."""

from __future__ import annotations

import argparse
import gc
import sys

from ec2zfs import __version__
from ec2zfs.cli.verbs import common, help_formatter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

VERBS = {
    "init": "write a sample configuration",
    "volumes": "create, attach, detach and delete the volumes of the pool",
    "pool": "create, unlock, lock, look at, grow and mend the cloud pool",
    "instance": "make, start, stop and reach the receiver",
    "backup": "back all sources up: snapshot, stage, start the receiver, unlock, replicate, check, lock, stop, prune",
    "snapshot": "take the snapshots that are due at the site",
    "stage": "encrypt what changed in the sources into the staging pool",
    "prune": "destroy the snapshots that the policies do not keep at the site",
    "status": "show how fresh every dataset is; exits with 0 (fine), 1 (late) or 2 (broken)",
    "snapshots": "list the site's snapshots: what keeps each, and until when",
    "holds": "show which snapshots are held against destruction, by whom and since when",
    "repair": "bring a copy that parted from its source together with it again: roll it back, or set it aside",
    "restore": "bring files back out of what is staged, or list what there is",
    "stream": "send or receive any byte stream, as fast as the line: tar, pg_dump",
    "demo": "show a whole backup day in a local EC2, on real ZFS and LUKS, and prove it",
    "lab": "run a local EC2 with real machines",
}
"""The verbs in the order of `--help`, each a module of this package with `register(verbs)`, imported when named."""


def parser(named: Collection[str] = tuple(VERBS)) -> argparse.ArgumentParser:
    """The parser with every verb; only of the `named` ones the arguments are known."""
    top = argparse.ArgumentParser(
        prog="ec2zfs",
        description="Back a ZFS file server up to an encrypted ZFS pool on EC2.",
        parents=[common(top=True)],
        allow_abbrev=False,
        formatter_class=help_formatter,
    )
    top.add_argument("--version", action="version", version=f"ec2zfs {__version__}")
    verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, summary in VERBS.items():
        if name in named:
            from importlib import import_module

            import_module(f"ec2zfs.cli.{name}").register(verbs)
        else:
            verbs.add_parser(name, help=summary, add_help=False, formatter_class=help_formatter)
    return top


COLLECT_AFTER = 100_000
"""New objects after which Python looks for garbage. A listing of as many snapshots is none: going through it a hundred
times while it is read is a sixth of the time."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code (errors.ExitCode)."""
    gc.set_threshold(COLLECT_AFTER)
    words = sys.argv[1:] if argv is None else list(argv)
    arguments = parser(words).parse_args(words)

    from ec2zfs.cli.ending import run_to_its_end

    return run_to_its_end(arguments)
