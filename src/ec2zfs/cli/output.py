"""What a command shows: progress (progress.py), results and warnings, for a terminal, a log or a program.

Results and progress go to stdout, warnings and errors to stderr. With `--json` stdout holds JSON lines, each with an
`event`, and nothing else. What is shown never contains a secret: a `Secret` has no text form.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from ec2zfs.execute.progress import Bar, Progress

if TYPE_CHECKING:
    from rich.text import Text

Row = Mapping[str, object]


class Output(Progress, Protocol):
    """The operator's or the calling program's end of a command. It is a `Progress`, so executors can be handed it."""

    def warn(self, message: str) -> None:
        """One sentence about something that is not as it should be but stops nothing."""
        ...

    def result(self, event: str, values: Row) -> None:
        """One thing that the command found or did: `event` as a heading, then name and value.

        In JSON headings and names become words joined by `_`.
        """
        ...

    def table(self, event: str, rows: Sequence[Row]) -> None:
        """Several things of one kind; the keys of the first row are the columns."""
        ...

    def picture(self, draw: Callable[[], Text]) -> None:
        """Something that only a terminal can show in colours; nothing elsewhere."""
        ...

    def clear(self) -> None:
        """Begin at the top of an empty screen, where there is one."""
        ...


class Words:
    """Text for people, with progress shown by whatever suits the stream."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def say(self, message: str) -> None:
        """Pass the line on."""
        self._progress.say(message)

    def bar(self, label: str, total: int | None, unit: str) -> AbstractContextManager[Bar]:
        """Pass the bar on."""
        return self._progress.bar(label, total, unit)

    def warn(self, message: str) -> None:
        """Print to stderr."""
        print(f"ec2zfs: warning: {message}", file=sys.stderr, flush=True)

    def result(self, event: str, values: Row) -> None:
        """Print the heading and the values, aligned."""
        width = max(map(len, values), default=0)
        lines = (f"  {name:<{width}}  {_text(value)}" for name, value in values.items())
        print(f"{event[0].upper()}{event[1:]}", *lines, sep="\n", flush=True)

    def picture(self, draw: Callable[[], Text]) -> None:
        """Draw on a terminal."""
        if sys.stdout.isatty():
            from rich.console import Console

            Console(highlight=False).print(draw())

    def clear(self) -> None:
        """Clear a terminal."""
        if sys.stdout.isatty():
            print("\x1b[H\x1b[2J", end="", flush=True)

    def table(self, event: str, rows: Sequence[Row]) -> None:
        """Print the rows in aligned columns, numbers to the right."""
        if not rows:
            print(f"No {event}.", flush=True)
            return
        columns = [_Column(name, [row.get(name) for row in rows]) for name in rows[0]]
        for line in zip(*(column.lines() for column in columns), strict=True):
            print("  ".join(line).rstrip())
        sys.stdout.flush()


class _Column:
    def __init__(self, name: str, values: Sequence[object]) -> None:
        self._cells = [name, *map(_text, values)]
        self._numbers = all(type(value) in (int, float) for value in values)  # a bool is no number here

    def lines(self) -> list[str]:
        width = max(map(len, self._cells))
        return [cell.rjust(width) if self._numbers else cell.ljust(width) for cell in self._cells]


class Json:
    """JSON lines for programs."""

    def __init__(self, progress: Progress, emit: Callable[[str, Row], None]) -> None:
        self._progress = progress
        self._emit = emit

    def say(self, message: str) -> None:
        """Emit as `{"event": "message"}`."""
        self._progress.say(message)

    def bar(self, label: str, total: int | None, unit: str) -> AbstractContextManager[Bar]:
        """Emit as `{"event": "progress"}`."""
        return self._progress.bar(label, total, unit)

    def warn(self, message: str) -> None:
        """Emit to stderr."""
        print(json.dumps({"event": "warning", "message": message}), file=sys.stderr, flush=True)

    def result(self, event: str, values: Row) -> None:
        """Emit the values as one object."""
        self._emit(_name(event), _named(values))

    def picture(self, draw: Callable[[], Text]) -> None:
        """Nothing: the tables say it all."""

    def clear(self) -> None:
        """Nothing: the lines follow one another."""

    def table(self, event: str, rows: Sequence[Row]) -> None:
        """Emit the rows as one object, empty or not."""
        self._emit(_name(event), {"rows": [_named(row) for row in rows]})


def _name(words: str) -> str:
    """The name that a program reads for a heading: `dry run: nothing was changed` is `dry_run_nothing_was_changed`."""
    return re.sub(r"\W+", "_", words).strip("_")


def _named(values: Row) -> Row:
    return {_name(name): value for name, value in values.items()}


def _text(value: object) -> str:
    if value is None or value == "":
        return "-"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def emit(event: str, values: Row) -> None:
    """Print one JSON line to stdout. What JSON does not know becomes its text (a place), a time ISO 8601."""
    print(json.dumps({"event": event, **values}, default=_plain), flush=True)


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def chosen_output(arguments: argparse.Namespace) -> Output:
    """The output that `--json` and the kind of stdout ask for."""
    from ec2zfs.cli.progress import JsonProgress, LineProgress

    if arguments.json:
        return Json(JsonProgress(emit), emit)
    if not sys.stdout.isatty():
        return Words(LineProgress(print_line))
    from ec2zfs.cli.bars import TerminalProgress

    return Words(TerminalProgress())


def print_line(line: str) -> None:
    """Print one line to stdout at once, so that a log shows it while it is true."""
    print(line, flush=True)
