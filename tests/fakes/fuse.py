"""Kills the controller at its k-th call to the outside world, by wrapping what it calls; nothing shipped knows of it.

    fuse = Fuse(call=3, moment=Moment.AFTER)
    volumes = fuse.wrap(FakeVolumes("cloud"))

The third call (of all objects that one fuse wraps) takes effect, but its answer never arrives: `Killed` is raised.
Every later call is refused in the same way, as by a process that is dead.
"""

from __future__ import annotations

import threading
from enum import Enum
from typing import Any, TypeVar, cast

T = TypeVar("T")


class Killed(BaseException):
    """The process died here. No `except Exception` may catch it, as none would catch SIGKILL."""


class Moment(Enum):
    """Where the process dies: before the call takes effect, or after its effect and before its answer."""

    BEFORE = "before the call"
    AFTER = "after its effect, before its answer"


class Fuse:
    """Counts the calls of what it wraps, from 1, and burns at one of them; with call 0 it only counts."""

    def __init__(self, call: int = 0, moment: Moment = Moment.BEFORE) -> None:
        self._call = call
        self._moment = moment
        self._counting = threading.Lock()
        self.calls: list[str] = []
        self.burnt = False

    def wrap(self, inner: T) -> T:
        """The same object to look at, whose methods are counted."""
        return cast("T", _Wrapped(inner, self))

    def step(self, name: str) -> bool:
        """Count a call; True when the process is to die after its effect. Raises `Killed` when it dies before."""
        with self._counting:
            if self.burnt:
                raise Killed(f"{name}: dead since call {self._call}")
            self.calls.append(name)
            self.burnt = dies = len(self.calls) == self._call
        if dies and self._moment is Moment.BEFORE:
            raise Killed(f"before call {self._call}, {name}")
        return dies


class _Wrapped:
    def __init__(self, inner: object, fuse: Fuse) -> None:
        self._inner = inner
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        attribute = getattr(self._inner, name)
        if not callable(attribute):
            return attribute

        def counted(*arguments: object, **named: object) -> object:
            dies = self._fuse.step(name)
            answer = attribute(*arguments, **named)
            if dies:
                raise Killed(f"after call {len(self._fuse.calls)}, {name}")
            return answer

        return counted
