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
_LONG_BYTES = 16 << 20
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
        if kind is not None or any(worker.pending for worker in self._workers):
            self._end()
            return
        try:
            for worker in self._workers:
                worker.finish()
            for worker in self._workers:
                worker.child.finish()
        except BaseException:
            self._end()
            raise

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
            while not exhausted and (free := self._free()) is not None:
                batch = next(coming, None)
                if batch is None:
                    exhausted = True
                else:
                    free.give(batch)
            for output, _ in poll.poll(TICK_SECONDS * 1000):
                yield from by_output[output].hear()

    def _free(self) -> _Worker | None:
        """The worker that is to have the next batch, if any is."""
        worker = min(self._workers, key=lambda worker: worker.batches)
        return worker if worker.batches < _AHEAD else None

    def _end(self) -> None:
        for worker in self._workers:
            worker.child.end()


@dataclass
class _Batch:
    """Tasks that are given together, and the bytes of their sources."""

    tasks: list[Task] = field(default_factory=list)
    size: int = 0


@dataclass
class _Worker:
    child: Child
    pending: dict[int, Task] = field(default_factory=dict)
    _left: deque[int] = field(default_factory=deque)
    _given: int = 0
    _long: bool = False

    @property
    def batches(self) -> int:
        """How many batches it has that are not done yet; enough, if one will take it long."""
        return max(len(self._left), _AHEAD if self._long else 0)

    def give(self, batch: _Batch) -> None:
        numbered = list(enumerate(batch.tasks, self._given))
        self._given += len(batch.tasks)
        self._left.append(len(batch.tasks))
        self._long = batch.size >= _LONG_BYTES
        self.pending |= numbered
        try:
            self.child.send(orders.written_tasks(numbered))
        except BrokenPipeError as error:
            raise self._died() from error

    def hear(self) -> Iterator[Done | Failed]:
        lines = self.child.hear()
        if lines is None:
            raise self._died()
        for number, rest in (each for line in lines for each in orders.outcome_numbers(line)):
            if number == orders.NO_TASK:
                refusal = orders.read_outcome(Task("", ""), rest)
                assert isinstance(refusal, Failed)  # noqa: S101 - nothing was done, so nothing can be told but that
                raise refusal.error
            self._left[0] -= 1
            if not self._left[0]:
                self._left.popleft()
                self._long = self._long and bool(self._left)
            yield orders.read_outcome(self.pending.pop(number), rest)

    def finish(self) -> None:
        try:
            self.child.send(FINISH)
        except BrokenPipeError as error:
            raise self._died() from error

    def _died(self) -> Ec2zfsError:
        task = next(iter(self.pending.values()), None)
        at = "" if task is None else f" at {task.source}, or soon after it"
        ended = f"A worker process ended{at}, with exit code {self.child.status()}"
        said = self.child.said() or "it printed nothing"
        return Ec2zfsError(f"{ended}: {said}", hint="Running it again is safe.")


def _batches(tasks: Iterable[Task]) -> Iterator[_Batch]:
    """Small files together, so that few words are exchanged; a large one travels alone, so that none waits for it."""
    batch = _Batch()
    for task in tasks:
        size = _size(task)
        if size >= _BATCH_BYTES and batch.tasks:
            yield batch
            batch = _Batch()
        batch.tasks.append(task)
        batch.size += size
        if len(batch.tasks) >= _BATCH_TASKS or batch.size >= _BATCH_BYTES:
            yield batch
            batch = _Batch()
    if batch.tasks:
        yield batch


def _size(task: Task) -> int:
    try:
        return os.lstat(task.source).st_size
    except OSError:
        return 0  # its worker will say why
