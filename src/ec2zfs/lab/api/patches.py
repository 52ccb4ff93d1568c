"""Replaces attributes of moto's classes, and puts them back. The only place that writes to moto's classes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import ExitStack

_ABSENT = object()


class Patches:
    """The replacements that are in force; `undo()` ends all of them, last first."""

    def __init__(self) -> None:
        self._undo = ExitStack()

    def replace(self, owner: object, name: str, value: object) -> None:
        """Give `owner` the attribute until `undo()`."""
        previous = vars(owner).get(name, _ABSENT)
        if previous is _ABSENT:
            self._undo.callback(delattr, owner, name)
        else:
            self._undo.callback(setattr, owner, name, previous)
        setattr(owner, name, value)

    def around(self, owner: object, name: str, wrapper: Callable[..., object]) -> None:
        """Let `wrapper(proceed, subject, *arguments)` stand around a method; `proceed` is the method as it was."""
        original = getattr(owner, name)

        @functools.wraps(original)
        def wrapped(subject: object, *arguments: object, **named: object) -> object:
            return wrapper(functools.partial(original, subject), subject, *arguments, **named)

        self.replace(owner, name, wrapped)

    def undo(self) -> None:
        """Put everything back."""
        self._undo.close()
