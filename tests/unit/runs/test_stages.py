"""The stages of a run: told, timed, remembered however they end, and undone whatever happens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ec2zfs.errors import HostError, NoSpace
from ec2zfs.execute.progress import Silent
from ec2zfs.runs.report import StageReport
from ec2zfs.runs.stages import Journal


class Lines(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def journal(lines: Lines) -> Journal:
    ticks: Iterator[float] = iter(range(0, 1000, 5))
    return Journal(lines, lambda: next(ticks))


def test_a_stage_is_told_timed_and_remembered(journal: Journal, lines: Lines) -> None:
    with journal.stage("replicate") as stage:
        stage.outcome = "12 bytes"
    assert journal.stages == [StageReport("replicate", 5, "12 bytes")]
    assert lines.lines == ["replicate …", "replicate: 12 bytes (5.0 s)"]


def test_a_failed_stage_is_remembered_with_its_reason(journal: Journal) -> None:
    with pytest.raises(NoSpace), journal.stage("replicate"):
        raise NoSpace("The pool is full.", hint="Grow it.")
    assert journal.stages == [StageReport("replicate", 5, "The pool is full. Grow it.", failed=True)]


def test_an_interrupt_is_remembered_too(journal: Journal) -> None:
    with pytest.raises(KeyboardInterrupt), journal.stage("replicate"):
        raise KeyboardInterrupt
    assert journal.stages == [StageReport("replicate", 5, "KeyboardInterrupt", failed=True)]


@pytest.mark.parametrize("failure", [NoSpace("full"), KeyboardInterrupt(), SystemExit(1)])
def test_what_was_begun_is_undone_however_it_fails(journal: Journal, failure: BaseException) -> None:
    undone: list[str] = []
    with (
        pytest.raises(type(failure)) as raised,
        journal.undone_by("stop", lambda: undone.append("stop")),
        journal.undone_by("lock", lambda: undone.append("lock")),
    ):
        raise failure
    assert raised.value is failure
    assert undone == ["lock", "stop"]
    assert [stage.name for stage in journal.stages] == ["lock", "stop"]


def test_what_was_begun_is_undone_after_success(journal: Journal) -> None:
    undone: list[str] = []
    with journal.undone_by("lock", lambda: undone.append("lock")):
        assert undone == []
    assert undone == ["lock"]


def test_a_failing_undo_hides_neither_the_failure_before_it_nor_the_undo_after_it(journal: Journal) -> None:
    undone: list[str] = []

    def unreachable() -> None:
        raise HostError("The receiver does not answer.")

    with (
        pytest.raises(NoSpace) as raised,
        journal.undone_by("stop", lambda: undone.append("stop")),
        journal.undone_by("lock", unreachable),
    ):
        raise NoSpace("full")
    assert raised.value.__notes__ == ["After that, `lock` failed too: The receiver does not answer."]
    assert undone == ["stop"]
    assert [(stage.name, stage.failed) for stage in journal.stages] == [("lock", True), ("stop", False)]


def test_a_failing_undo_after_success_is_the_failure(journal: Journal) -> None:
    def unreachable() -> None:
        raise HostError("The receiver does not answer.")

    with pytest.raises(HostError), journal.undone_by("lock", unreachable):
        pass


def test_not_even_a_bug_in_an_undo_hides_the_failure_before_it(journal: Journal) -> None:
    def wrong() -> None:
        raise ValueError("a bug")

    with pytest.raises(NoSpace) as raised, journal.undone_by("lock", wrong):
        raise NoSpace("full")
    assert raised.value.__notes__ == ["After that, `lock` failed too: a bug"]


class Impatient:
    """An undo that is interrupted as often as told, and remembers its beginnings and ends."""

    def __init__(self, interrupts: int) -> None:
        self.left = interrupts
        self.told: list[str] = []

    def __call__(self) -> None:
        self.told.append("begun")
        self.left -= 1
        if self.left >= 0:
            raise KeyboardInterrupt
        self.told.append("done")


# what the block raises, interrupts that reach the undo, what the undo does
INTERRUPTS: dict[str, tuple[BaseException | None, int, list[str]]] = {
    "the first comes while undoing after success": (None, 1, ["begun", "begun", "done"]),
    "the first comes while undoing after a failure": (NoSpace("full"), 1, ["begun", "begun", "done"]),
    "and one more": (None, 2, ["begun", "begun"]),
    "the block was interrupted": (KeyboardInterrupt(), 0, ["begun", "done"]),
    "the block was interrupted, and the undo too": (KeyboardInterrupt(), 1, ["begun"]),
}


@pytest.mark.parametrize("case", INTERRUPTS)
def test_the_first_interrupt_never_cuts_an_undo_short_and_a_further_one_does(case: str, journal: Journal) -> None:
    failure, interrupts, told = INTERRUPTS[case]
    undo = Impatient(interrupts)

    def work() -> None:
        with journal.undone_by("lock", undo):
            if failure is not None:
                raise failure

    with pytest.raises(KeyboardInterrupt):
        work()
    assert undo.told == told


def test_an_undo_that_fails_after_its_interrupt_is_told_with_it(journal: Journal) -> None:
    calls: list[str] = []

    def undo() -> None:
        calls.append("undo")
        raise KeyboardInterrupt if len(calls) == 1 else HostError("The receiver does not answer.")

    with pytest.raises(KeyboardInterrupt) as raised, journal.undone_by("lock", undo):
        pass
    assert raised.value.__notes__ == ["After that, `lock` failed too: The receiver does not answer."]
