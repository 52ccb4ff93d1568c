"""What a worker tells of its tasks; tests/contract/test_encrypted_files.py has it as a process."""

from __future__ import annotations

import queue
import threading
from pathlib import Path

import pytest

from ec2zfs.encryption import orders, worker
from ec2zfs.encryption.interface import Done, Failed, Format, Recipients, Task
from ec2zfs.encryption.orders import Orders
from ec2zfs.encryption.streams import Sink, Source
from ec2zfs.errors import Damaged


def test_what_it_left_because_it_is_to_end_is_told_as_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, Done | Failed]] = []
    ending = threading.Event()
    monkeypatch.setattr(worker, "_tell", told.extend)
    monkeypatch.setattr(worker, "_ending", ending)
    source = tmp_path / "source"
    source.write_bytes(b"whole")
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    lines.put(orders.written_tasks([(number, Task(str(source), str(tmp_path / f"{number}"))) for number in range(3)]))

    def carry(_: Source, sink: Sink) -> None:
        if told_before := (tmp_path / "0").stat().st_size:
            ending.set()
            raise Damaged("The library took our leaving for a fault.")
        sink.write(b"%d" % (told_before + 1))

    worker._work(lines, carry, Orders(Recipients(Format.AGE, ()), durable=False))
    assert [(number, type(outcome)) for number, outcome in told] == [(0, Done)]
    assert {path.name for path in tmp_path.iterdir()} == {"source", "0"}
