"""How a verb joins the command line. Its module has `register(verbs)`; its handler imports what it needs when called.

At start-up only argparse may be imported: `ec2zfs --help` is measured against an empty Python (bench/startup.py).
"""

from __future__ import annotations

import argparse
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 - argparse has no public name for it
    Handler: TypeAlias = Callable[[argparse.Namespace], int]


def add_verb(verbs: Verbs, name: str, summary: str, handler: Handler) -> argparse.ArgumentParser:
    """Add a verb that does something: `handler(arguments)` returns the exit code. Add its own arguments to the result.

    `summary` is one sentence without a full stop, beginning with a verb in lower case: "show the volumes".
    """
    parser = _added(verbs, name, summary)
    parser.set_defaults(handler=handler)
    return parser


def add_now(parser: argparse.ArgumentParser) -> None:
    """Add `--now [PERIOD]`, for verbs that take snapshots."""
    parser.add_argument(
        "--now",
        nargs="?",
        const="daily",
        metavar="PERIOD",
        help="take snapshots of this period (daily if none is named) now, and of no other, whether they are due or not",
    )


def add_group(verbs: Verbs, name: str, summary: str) -> Verbs:
    """Add a verb that has verbs of its own, such as `volumes`; give the result to `add_verb`."""
    return _added(verbs, name, summary).add_subparsers(dest="subverb", metavar="VERB", required=True)


def _added(verbs: Verbs, name: str, summary: str) -> argparse.ArgumentParser:
    return verbs.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        parents=[common()],
        allow_abbrev=False,
        formatter_class=help_formatter,
    )


def common(*, top: bool = False) -> argparse.ArgumentParser:
    """The options that may stand before or after a verb. Only at the top have they defaults, so none undoes another."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, formatter_class=help_formatter)
    unsaid = None if top else argparse.SUPPRESS
    off = False if top else argparse.SUPPRESS
    parser.add_argument("--config", metavar="FILE", default=unsaid, help="configuration file")
    parser.add_argument("--json", action="store_true", default=off, help="print JSON lines, for programs")
    parser.add_argument("--verbose", "-v", action="store_true", default=off, help="show every command that is run")
    return parser


def help_formatter(prog: str) -> argparse.HelpFormatter:
    """argparse's formatter, told the width: by itself it asks shutil, whose import takes a tenth of our start."""
    try:
        columns = int(os.environ.get("COLUMNS") or os.get_terminal_size(1).columns)
    except (OSError, ValueError):
        columns = 80
    return argparse.HelpFormatter(prog, width=max(columns, 40) - 2)
