"""A worker: a process that does tasks, one after the other, as it is told on its standard input. Started by workers.py.

It ends with its input, in the middle of a task if need be: then whoever gave the orders has gone.
"""

from __future__ import annotations

import os
import queue
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

from ec2zfs.encryption import formats, orders
from ec2zfs.encryption.files import performed
from ec2zfs.encryption.identities import Identity
from ec2zfs.encryption.interface import Done, Failed, Task
from ec2zfs.encryption.orders import Orders
from ec2zfs.encryption.streams import Sink, Source
from ec2zfs.errors import Ec2zfsError

FINISH = b"finish"
_PIECE = 1 << 16
_TELLING_SECONDS = 0.05
"""So long small tasks may be done before they are told of: then whoever listens is woken for many at once."""

_Numbered = tuple[int, Done | Failed]

_ending = threading.Event()


def main() -> int:
    """Do what standard input says; the exit code."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # no identity in a core file
    for name in ("RUST_BACKTRACE", "RUST_LIB_BACKTRACE"):
        os.environ.pop(name, None)  # libraries would add pages to what they say
    coming = _input_lines()
    given = orders.read_orders(next(coming))
    signal.signal(signal.SIGTERM, _end)
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(coming, lines), daemon=True).start()
    try:
        _follow(given, lines)
    except Ec2zfsError as error:
        _tell([(orders.NO_TASK, Failed(Task("", ""), error))])
        return int(error.exit_code)
    return 0


def _follow(given: Orders, lines: queue.SimpleQueue[bytes]) -> None:
    if isinstance(given.key, Identity):
        with closing(formats.decryptor(given.key, given.small)) as decryptor:
            _work(lines, decryptor.decrypt, given)
    else:
        with closing(formats.encryptor(given.key, given.small)) as encryptor:
            _work(lines, encryptor.encrypt, given)


def _end(*_: object) -> None:
    """End, and leave nothing half: what is under way removes its target and its home of gpg."""
    _ending.set()
    sys.exit(128 + signal.SIGTERM)


def _input_lines() -> Iterator[bytes]:
    """The lines of standard input: not by `sys.stdin`, whose lock in a thread that reads would abort our exit."""
    rest = b""
    while piece := os.read(0, _PIECE):
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines


def _listen(coming: Iterator[bytes], lines: queue.SimpleQueue[bytes]) -> None:
    for line in coming:
        lines.put(line)
        if line.strip() == FINISH:
            return
    os._exit(1)


def _work(lines: queue.SimpleQueue[bytes], carry: Callable[[Source, Sink], None], given: Orders) -> None:
    while (line := lines.get()).strip() != FINISH and not _ending.is_set():
        with closing(_Report()) as report:
            for number, task in orders.read_tasks(line):
                outcome = _outcome(task, carry, given)
                if _ending.is_set():  # a library that called us back took our leaving for a fault of its own
                    return
                report.add((number, outcome))


class _Report:
    """Outcomes that are told together, soon; those that are left, when it is closed."""

    def __init__(self) -> None:
        self._outcomes: list[_Numbered] = []
        self._told = time.monotonic()

    def add(self, outcome: _Numbered) -> None:
        self._outcomes.append(outcome)
        if time.monotonic() - self._told > _TELLING_SECONDS:
            self.close()

    def close(self) -> None:
        outcomes, self._outcomes = self._outcomes, []  # never told twice, wherever a signal comes
        if outcomes:
            _tell(outcomes)
        self._told = time.monotonic()


def _outcome(task: Task, carry: Callable[[Source, Sink], None], given: Orders) -> Done | Failed:
    try:
        return performed(task, carry, durable=given.durable, holes=given.holes)
    except Ec2zfsError as error:
        return Failed(task, error)


def _tell(outcomes: Sequence[_Numbered]) -> None:
    left = memoryview(orders.written_outcomes(outcomes) + b"\n")
    while left:
        left = left[os.write(1, left) :]


if __name__ == "__main__":
    os._exit(main())  # Python's own way out takes as long as many small files, and there is nothing to tidy up
