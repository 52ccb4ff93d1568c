"""Every world that a process may leave which is killed somewhere in what it does.

A dead process calls nobody any more. So what it leaves is the world as it was at that moment, and one whole run is
enough to see all of them. Most calls only look and leave the world as it was; worlds that are alike are tried once,
since who comes next finds the same in each.

    deaths = Deaths(world, state=lambda world: (world.site, world.receiver), receiver=lambda world: world.receiver)
    world.listen(deaths.look)          # whenever the process could die: before and after each call
    world.replicate()
    for death in deaths.tried(kind):
        death.world.replicate()
"""

from __future__ import annotations

import copy
import copyreg
import io
import pickle
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from tests import sweep
from tests.fakes.instances import FakeInstances
from tests.fakes.zfs_pool import FakeDataset
from tests.fakes.zfs_world import WorldTransport, ZfsHost

W = TypeVar("W")
C = TypeVar("C", bound=Hashable)


@dataclass
class Death(Generic[W, C]):
    """A world that is left, and the calls before or after which it stood so; the first is the one that made it."""

    world: W
    calls: list[C] = field(default_factory=list)


class Deaths(Generic[W, C]):
    """Keeps the worlds. `state`: all that the next process can find; `receiver`: where streams come in."""

    def __init__(self, world: W, *, state: Callable[[W], object], receiver: Callable[[W], ZfsHost]) -> None:
        self._world = world
        self._state = state
        self._receiver = receiver
        self._left: dict[bytes, Death[W, C]] = {}

    def look(self, call: C) -> None:
        """The process could die now, before or after this call."""
        found = written(self._state(self._world))
        if found not in self._left:
            left = copy.deepcopy(self._world)
            self._receiver(left).zfs.receives_end()
            self._left[found] = Death(left)
        self._left[found].calls.append(call)

    def tried(self, kind: Callable[[C], Hashable] = lambda call: call, *, at_least: int) -> Iterator[Death[W, C]]:
        """Of each kind of call that changes something one world, or with `--every` all of them.

        `at_least`: how many kinds there are, lest a run that does nothing any more is taken for a good one.
        """
        left = list(self._left.values())
        kinds = [kind(death.calls[0]) for death in left]
        assert len(set(kinds)) >= at_least, f"{len(set(kinds))} kinds of calls change something"
        for place in sweep.places(kinds):
            yield left[place]


RECORDS: dict[type, tuple[str, ...]] = {
    ZfsHost: ("commands", "hook"),
    WorldTransport: ("hook", "carried", "number"),
    FakeInstances: ("calls", "orders"),
    FakeDataset: ("receiving",),
}
"""What tests see and no process does, and what a death ends anyway."""


def written(state: object) -> bytes:
    """A state in bytes, without what makes no difference to who comes next."""
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer)
    pickler.dispatch_table = copyreg.dispatch_table | dict.fromkeys(RECORDS, _reduced)
    pickler.dump(state)
    return buffer.getvalue()


def _reduced(each: object) -> tuple[type, tuple[()], dict[str, object]]:
    records = RECORDS[type(each)]
    return object, (), {name: value for name, value in vars(each).items() if name not in records}
