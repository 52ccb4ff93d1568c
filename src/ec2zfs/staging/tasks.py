"""Has files encrypted or decrypted: a few small ones in this process, before a worker would start; else by workers."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from ec2zfs.encryption import formats
from ec2zfs.encryption.files import performed
from ec2zfs.encryption.identities import Identity
from ec2zfs.encryption.interface import Done, Failed, Task
from ec2zfs.encryption.orders import Orders
from ec2zfs.encryption.streams import Sink, Source
from ec2zfs.encryption.workers import Workers
from ec2zfs.errors import Ec2zfsError

_FEW = 64
_FEW_BYTES = 1 << 20


def outcomes(orders: Orders, tasks: Iterator[Task]) -> Iterator[Done | Failed]:
    """What became of each task, as `Workers.outcomes` says it."""
    few, size = list[Task](), 0
    while len(few) < _FEW and size < _FEW_BYTES:
        if (task := next(tasks, None)) is None:
            yield from _here(orders, few)
            return
        few.append(task)
        size += _size(task)
    with Workers(orders) as workers:
        yield from workers.outcomes(itertools.chain(few, tasks))


def _here(orders: Orders, tasks: list[Task]) -> Iterator[Done | Failed]:
    with _carrier(orders) as carry:
        for task in tasks:
            try:
                yield performed(task, carry, durable=orders.durable, holes=orders.holes)
            except Ec2zfsError as error:
                yield Failed(task, error)


@contextmanager
def _carrier(orders: Orders) -> Iterator[Callable[[Source, Sink], None]]:
    if isinstance(orders.key, Identity):
        with closing(formats.decryptor(orders.key, orders.small)) as decryptor:
            yield decryptor.decrypt
    else:
        with closing(formats.encryptor(orders.key, orders.small)) as encryptor:
            yield encryptor.encrypt


def _size(task: Task) -> int:
    try:
        return os.lstat(task.source).st_size
    except OSError:
        return 0  # whoever opens it will say why
