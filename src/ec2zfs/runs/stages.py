"""The stages of a run as they happen: each is announced, timed, and remembered for the report however it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ec2zfs.execute.progress import Progress
from ec2zfs.execute.replication_report import ReplicationReport
from ec2zfs.runs.report import StageReport


@dataclass
class Stage:
    """A stage under way; the work sets `outcome`, a line on what it did."""

    outcome: str = "done"


@dataclass
class Journal:
    """The stages so far, faults that did no harm, and what replication did, once it came to its end.

    `clock` counts seconds, `now` tells the time for the report.
    """

    progress: Progress
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    stages: list[StageReport] = field(default_factory=list)
    replicated: ReplicationReport | None = None
    warnings: list[str] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """Do one stage in a `with` block."""
        self.progress.say(f"{name} …")
        began, stage = (self.clock(), self.now()), Stage()
        try:
            yield stage
        except BaseException as failure:
            self._remember(name, began, str(failure) or type(failure).__name__, failed=True)
            raise
        self._remember(name, began, stage.outcome, failed=False)

    @contextmanager
    def undone_by(self, name: str, undo: Callable[[], object]) -> Iterator[None]:
        """Whatever happens in the `with` block, `undo` follows as a stage of that name; it may be done twice.

        When the block failed and the undoing fails too, the block's failure is raised, with a note about the other.
        """
        try:
            yield
        except BaseException as failure:
            with noted(failure, name):
                self._undo(name, undo, insist=not isinstance(failure, KeyboardInterrupt))
            raise
        self._undo(name, undo, insist=True)

    def _undo(self, name: str, undo: Callable[[], object], *, insist: bool) -> None:
        """Undo; `insist`: when an interrupt comes meanwhile, it is the first, which asks for good order: undo again."""
        try:
            with self.stage(name):
                undo()
        except KeyboardInterrupt as interrupt:
            if insist:
                with noted(interrupt, name):
                    self._undo(name, undo, insist=False)
            raise

    def _remember(self, name: str, began: tuple[float, datetime], outcome: str, *, failed: bool) -> None:
        clock, started = began
        seconds = self.clock() - clock
        self.stages.append(StageReport(name, round(seconds, 1), outcome, failed, started, self.now()))
        self.progress.say(f"{name}: {'FAILED: ' if failed else ''}{outcome} ({seconds:.1f} s)")


@contextmanager
def noted(failure: BaseException, name: str) -> Iterator[None]:
    """Let what fails in the block be a note to the failure that came before it, which is the one to be raised."""
    try:
        yield
    except Exception as second:  # noqa: BLE001 - not even a bug may hide what failed first
        failure.add_note(f"After that, `{name}` failed too: {second}")
