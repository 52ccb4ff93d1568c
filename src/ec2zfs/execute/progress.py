"""How an executor tells what it does, whoever listens: a terminal, a log or nobody. Prints nothing itself."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from ec2zfs.model.line import Line


class Bar(Protocol):
    """Something of a known or unknown size that is being worked through."""

    def advance(self, amount: int) -> None:
        """Say that `amount` more units are done."""
        ...

    def measure(self, line: Line) -> None:
        """Say how the line stands, of what is sent over one."""
        ...


class Progress(Protocol):
    """The listener that executors speak to."""

    def say(self, message: str) -> None:
        """One line about what happens now."""
        ...

    def bar(self, label: str, total: int | None, unit: str) -> AbstractContextManager[Bar]:
        """A bar for the time of a `with` block; `unit` is "B" for bytes or a plural noun; `total` None if unknown."""
        ...


class Silent:
    """Listens and says nothing."""

    def say(self, message: str) -> None:
        """Drop the line."""

    def bar(self, label: str, total: int | None, unit: str) -> AbstractContextManager[Bar]:  # noqa: ARG002
        """Return a bar that nobody sees."""
        return nullcontext(_Unseen())


class _Unseen:
    def advance(self, amount: int) -> None:
        """Drop the amount."""

    def measure(self, line: Line) -> None:
        """Drop the line."""
