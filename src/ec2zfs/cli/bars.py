"""Progress on a terminal: one rich bar for each thing that is being worked through, with rate and time left."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from ec2zfs.cli.progress import amount
from ec2zfs.execute.progress import Bar
from ec2zfs.model.line import Line

_WIDE = 150
"""Columns of a terminal on which all that is measured of a line finds room."""


class AmountColumn(ProgressColumn):
    """`12.3 MiB of 200.0 MiB, 5.1 MiB/s` or `3 of 40 volumes`. (rich wants its columns to be inherited.)"""

    def render(self, task: Task) -> Text:
        """Show how far the task is, and how fast it is now."""
        unit, done = str(task.fields["unit"]), int(task.completed)
        if unit != "B":
            return Text(f"{done} {unit}" if task.total is None else f"{done} of {int(task.total)} {unit}")
        of = "" if task.total is None else f" of {amount(int(task.total), unit)}"
        rate = task.finished_speed or task.speed
        return Text(f"{amount(done, unit)}{of}" + (f", {amount(int(rate), unit)}/s" if rate else ""))


class LineColumn(ProgressColumn):
    """`mean 4.8 MiB/s; 8 connections, 3 segments sent again, buffers 95% and 2% full: line`, where a line is measured.

    On a narrow terminal only what the stream waits for.
    """

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def render(self, task: Task) -> Text:
        """Show how the line stands."""
        line = task.fields.get("line")
        if line is None:
            return Text()
        if self._console.width < _WIDE:
            return Text(str(line.bottleneck))
        mean = amount(int(task.completed / task.elapsed), "B") if task.elapsed else "0 B"
        return Text(f"mean {mean}/s; {line}")


@dataclass(frozen=True)
class TerminalBar:
    """One bar on the screen."""

    progress: Progress
    task: TaskID

    def advance(self, amount: int) -> None:
        """Move the bar."""
        self.progress.advance(self.task, amount)

    def measure(self, line: Line) -> None:
        """Show the line beside the bar."""
        self.progress.update(self.task, line=line)


class TerminalProgress:
    """The screen: bars at its foot while there are any, lines above them."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._lock = threading.Lock()
        self._bars = 0
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            AmountColumn(),
            TimeRemainingColumn(compact=True),
            LineColumn(self._console),
            console=self._console,
        )

    def say(self, message: str) -> None:
        """Print the line above the bars."""
        self._console.print(message, markup=False)

    @contextmanager
    def bar(self, label: str, total: int | None, unit: str) -> Iterator[Bar]:
        """Show a bar for the time of the block; the last one out takes the display down, also on an error."""
        with self._lock:
            self._bars += 1
            if self._bars == 1:
                self._progress.start()
            task = self._progress.add_task(label, total=total, unit=unit)
        try:
            yield TerminalBar(self._progress, task)
        finally:
            with self._lock:
                self._bars -= 1
                if self._bars == 0:
                    self._progress.stop()
                    for seen in self._progress.task_ids:
                        self._progress.remove_task(seen)
