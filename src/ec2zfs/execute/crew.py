"""Threads that work at the same time under one that leads. Whatever they have to tell or to note is done by the leader.

So what they work for (progress, holds, reports) knows of no threads and needs no locks. A signal, which reaches the
main thread alone, finds it listening; when the leader leaves in whatever way but the good one, all that runs is ended.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from types import TracebackType
from typing import Self, TypeVar

from ec2zfs.hosts.halting import Halt

T = TypeVar("T")
S = TypeVar("S")
Ended = Callable[[BaseException | None], object]
"""Hears how a piece of work ended: None, or what it raised (`Halted` when it was ended)."""


def side_by_side(first: Callable[[], T], second: Callable[[], S]) -> tuple[T, S]:
    """Both at the same time, the second by a thread; what either raises ends the other."""
    found, ended = list[S](), list[BaseException | None]()
    with Crew(1) as crew:
        crew.work(lambda: found.append(second()), ended.append)
        mine = first()
        while not ended:
            crew.listen()
        if ended[0]:
            raise ended[0]
    return mine, found[0]


class Crew:
    """`with Crew(4) as crew:` the caller, to whom all methods are, leads up to 4 threads."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._halt = Halt()
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="ec2zfs-crew", initializer=self._halt.obey)
        self._inbox = SimpleQueue[Callable[[], object]]()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Wait for all that runs, after an error only until it was ended; then do what was handed over meanwhile."""
        if error is not None:
            self._halt.order()
        self._threads.shutdown()
        while not self._inbox.empty():
            self.listen()

    def work(self, work: Callable[[], None], ended: Ended) -> None:
        """Have a thread do the work; `ended` is handed over when it has."""

        hand_over = self.handing_over(ended)
        self._threads.submit(work).add_done_callback(lambda future: hand_over(future.exception()))

    def handing_over(self, hear: Callable[[T], object]) -> Callable[[T], None]:
        """A function for the threads: it has the leader call `hear`, and does not wait for that."""
        return lambda told: self._inbox.put(partial(hear, told))

    def listen(self) -> None:
        """Wait for the next thing that is handed over, and hear it."""
        self._inbox.get()()
