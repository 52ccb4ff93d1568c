"""Encrypts or decrypts many files at once, in a process for each core, and says of each what became of it.

The libraries hold Python's lock, so threads would gain nothing and stop everything else. The processes are this
program's own, started through hosts/ like any other: they share no memory with us, inherit no locks of threads, get
an identity through a pipe, and end when we do.
"""

from __future__ import annotations

import os
import select
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from ec2zfs.encryption import orders
from ec2zfs.encryption.interface import Done, Failed, Task
from ec2zfs.encryption.orders import Orders
from ec2zfs.encryption.worker import FINISH
from ec2zfs.errors import Ec2zfsError
from ec2zfs.hosts.child import Child
from ec2zfs.hosts.halting import TICK_SECONDS, heed

_BATCH_TASKS = 32
_BATCH_BYTES = 1 << 20
_AHEAD = 2
"""Batches that a worker has at a time: one that it does, and one so that it need not wait for the next."""


class Workers:
    """Processes that do the same with every task they are given. Use it in a `with` statement."""

    def __init__(self, given: Orders, count: int | None = None) -> None:
        self._orders = orders.written_orders(given)
        self._count = count or len(os.sched_getaffinity(0))
        self._workers: list[_Worker] = []

    def __enter__(self) -> Self:
        try:
            for _ in range(self._count):
                self._workers.append(_Worker(Child("ec2zfs.encryption.worker", self._orders)))
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if kind is None and not any(worker.pending for worker in self._workers):
            for worker in self._workers:
                worker.finish()
        else:
            self._end()

    @property
    def numbers(self) -> tuple[int, ...]:
        """The process ids of the workers."""
        return tuple(worker.child.number for worker in self._workers)

    def outcomes(self, tasks: Iterable[Task]) -> Iterator[Done | Failed]:
        """What became of each task, in no particular order; tasks are asked for as workers become free.

        Raises `Ec2zfsError` when a worker dies, and `Halted` in a thread that is to end; then the `with` ends all.
        """
        coming = _batches(tasks)
        exhausted = False
        poll = select.poll()
        by_output = {worker.child.output: worker for worker in self._workers}
        for output in by_output:
            poll.register(output, select.POLLIN)
        while not exhausted or any(worker.pending for worker in self._workers):
            heed()
            for worker in sorted(self._workers, key=lambda worker: worker.batches):
                while not exhausted and worker.batches < _AHEAD:
                    batch = next(coming, None)
                    if batch is None:
                        exhausted = True
                    else:
                        worker.give(batch)
            for output, _ in poll.poll(TICK_SECONDS * 1000):
                yield from by_output[output].hear()

    def _end(self) -> None:
        for worker in self._workers:
            worker.child.end()


@dataclass
class _Worker:
    child: Child
    pending: dict[int, Task] = field(default_factory=dict)
    _sizes: deque[int] = field(default_factory=deque)
    _given: int = 0

    @property
    def batches(self) -> int:
        """How many batches it has that are not done yet."""
        return len(self._sizes)

    def give(self, batch: list[Task]) -> None:
        numbered = list(enumerate(batch, self._given))
        self._given += len(batch)
        self._sizes.append(len(batch))
        self.pending |= numbered
        try:
            self.child.send(orders.written_tasks(numbered))
        except BrokenPipeError as error:
            raise self._died() from error

    def hear(self) -> Iterator[Done | Failed]:
        lines = self.child.hear()
        if lines is None:
            raise self._died()
        for line in lines:
            number, rest = orders.outcome_number(line)
            if number == orders.NO_TASK:
                refusal = orders.read_outcome(Task("", ""), rest)
                assert isinstance(refusal, Failed)  # noqa: S101 - nothing was done, so nothing can be told but that
                raise refusal.error
            self._sizes[0] -= 1
            if not self._sizes[0]:
                self._sizes.popleft()
            yield orders.read_outcome(self.pending.pop(number), rest)

    def finish(self) -> None:
        try:
            self.child.send(FINISH)
        except BrokenPipeError as error:
            raise self._died() from error
        self.child.finish()

    def _died(self) -> Ec2zfsError:
        task = next(iter(self.pending.values()), None)
        at = "" if task is None else f" at {task.source}"
        ended = f"A worker process ended{at}, with exit code {self.child.status()}"
        said = self.child.said() or "it printed nothing"
        return Ec2zfsError(f"{ended}: {said}", hint="Running it again is safe.")


def _batches(tasks: Iterable[Task]) -> Iterator[list[Task]]:
    """Small files together, so that few words are exchanged; a large one goes alone, so that none waits behind it."""
    batch: list[Task] = []
    size = 0
    for task in tasks:
        batch.append(task)
        size += _size(task)
        if len(batch) >= _BATCH_TASKS or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _size(task: Task) -> int:
    try:
        return os.lstat(task.source).st_size
    except OSError:
        return 0  # its worker will say why
