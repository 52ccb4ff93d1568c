"""The reference pages, made of what they describe: `python -m ec2zfs.cli.reference docs` writes them.

docs/reference.md is made of the parser, the exit codes and the errors; docs/configuration.md of the configuration.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from ec2zfs import errors
from ec2zfs.cli import parser
from ec2zfs.config.sample import reference as configuration_reference
from ec2zfs.errors import Ec2zfsError, ExitCode

HEAD = """\
# Reference

This page is made of the program itself, by `python -m ec2zfs.cli.reference docs`. The configuration's keys are in
[configuration.md](configuration.md).
"""

OUTPUT = """\
## What is printed

Results and progress go to stdout, warnings and errors to stderr. On a terminal progress is shown as bars with rate and
time left, elsewhere as a line now and then.

With `--json` stdout holds one JSON object a line and nothing else; its `event` says what it is:

| event | members |
|---|---|
| `message` | `message`: what happens now, a sentence |
| `progress` | `label`, `state` (`begin`, `going`, `end`, `broken`), `done`, `total` (null: unknown), \
`unit` (`B`: bytes), `seconds`, `rate` (units a second on average), `rate_now` (in the last 10 s, null: unknown), \
`seconds_left` (null: unknown), `line` (null: not measured) |
| any other | the result of the verb; a list stands in `rows` |

`line` tells of a stream whose two ends measure it (all that are under way, added up): `flows` (connections),
`retransmitted` (TCP segments that were sent again), `sender_buffer` and `receiver_buffer` (how full those of the two
ends are, 0 to 1), `limit` (bytes a second that are not to be exceeded, null: none) and `bottleneck`, what the stream
waits for: `source` (both buffers are empty), `line` or `rate limit` (the sender's is full) or `receiver` (the
receiver's is). The bars show the same in words, and the report of a run has `line`: the most `flows`,
`retransmitted`, and `bottlenecks`, for which part of the time each was one. Through `ssh` nothing but bytes is known;
through `ssh-striped` no segments are counted.

Warnings and errors are JSON objects on stderr then: `{"event": "warning", "message": …}` and
`{"event": "error", "error": …, "message": …, "hint": …, "exit_code": …}`.
"""

STREAMS = """\
## Streams without ZFS

`ec2zfs stream` needs neither configuration nor AWS. It carries bytes between standard input or output here and a
command on a host that ssh reaches, and judges by both ends: it exits with 0 only when all has come through and the
command there has ended well. What that command prints to its standard error is shown when it fails; of `send`, what it
prints to standard output is dropped. Words of the command are not read by a shell; give it one (`sh -c '…'`) for pipes.

    tar c /srv | ec2zfs stream send --to user@host -- tar x -C /srv
    ec2zfs stream receive --from user@host -- pg_dump shop | zstd >shop.zst

What fails on this side of standard input is not seen by it: a `tar` that dies ends the stream like one that is done. In
a script have the shell judge all of a pipeline (`set -o pipefail`).

Progress is shown on a terminal, on standard error, where with `--json` the JSON lines go too: standard output is the
stream's alone. When its reader goes away (`| head`), all is ended and the exit code is 1, without a word.
"""

SIGNALS = """\
## Signals

Ctrl-C (SIGINT), SIGTERM and SIGHUP end the work in good order: `backup`, and `pool create` when it started the
receiver, lock the pool and stop the receiver where the machine still answers; after the others the receiver powers
itself off in time. A second one during that says so and changes nothing; a third ends at once and leaves it undone.
"""


def reference() -> str:
    """docs/reference.md."""
    top = parser()
    parts = [HEAD, "## Verbs\n", *_verbs(top), "## Options of every verb\n", _options(top), OUTPUT, STREAMS, SIGNALS]
    return "\n".join([*parts, "## Exit codes\n", "| code | name | meaning |\n|---|---|---|", *_codes()]) + "\n"


def _verbs(top: argparse.ArgumentParser) -> Iterator[str]:
    for leaf in leaves(top):
        yield f"### `{leaf.prog}`\n\n{leaf.description}\n"
        if own := _options(leaf, except_for=top):
            yield own


def leaves(of: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """The verbs that do something, however deep they stand; one that has verbs of its own may do something too."""
    return [
        leaf for verb in subparsers(of) for leaf in (*([verb] if verb.get_default("handler") else ()), *leaves(verb))
    ]


def subparsers(of: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """The verbs of a parser, or of a verb."""
    return [sub for action in _actions(of) if isinstance(action.choices, dict) for sub in action.choices.values()]


def _actions(of: argparse.ArgumentParser) -> list[argparse.Action]:
    return of._actions  # noqa: SLF001 - argparse lists its actions nowhere else


def _options(of: argparse.ArgumentParser, except_for: argparse.ArgumentParser | None = None) -> str:
    known = {name for action in _actions(except_for) for name in action.option_strings} if except_for else set()
    rows = [
        f"| `{_spelled(action)}` | {action.help} |"
        for action in _actions(of)
        if not isinstance(action.choices, dict) and not known.intersection(action.option_strings)
    ]
    return "\n".join(["| argument | what it is |", "|---|---|", *rows, ""]) if rows else ""


def _spelled(action: argparse.Action) -> str:
    value = action.metavar or ("" if action.nargs == 0 else action.dest.upper())
    shown = value if isinstance(value, str) else " ".join(value)
    return " ".join([*action.option_strings[:1], shown]).strip() if action.option_strings else shown


def _codes() -> Iterator[str]:
    for code in ExitCode:
        yield f"| {code.value} | {code.name.lower()} | {meaning(code)} |"


def meaning(code: ExitCode) -> str:
    """What an exit code means: the sentences of the errors that have it."""
    if code is ExitCode.OK:
        return "Everything that was asked for is done."
    if code is ExitCode.USAGE:
        return "The command line is wrong; nothing was done."
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Ec2zfsError)]
    return " ".join(" ".join((kind.__doc__ or "").split()) for kind in kinds if kind.exit_code is code)


def main() -> int:
    """Write the pages into the directory that is named."""
    directory = Path(sys.argv[1])
    (directory / "reference.md").write_text(reference())
    (directory / "configuration.md").write_text(configuration_reference())
    return 0


if __name__ == "__main__":
    sys.exit(main())
