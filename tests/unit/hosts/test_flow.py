"""Bytes from pipe to pipe, one turn at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from ec2zfs.hosts.flow import Flow

MIB = 1 << 20


@dataclass
class Bench:
    """A flow between two pipes, of which the test holds the outer ends."""

    upstream: int
    source: int
    sink: int
    downstream: int

    def flow(self) -> tuple[Flow, list[int]]:
        heard: list[int] = []
        return Flow(self.source, self.sink, heard.append), heard


@pytest.fixture
def bench() -> Iterator[Bench]:
    source, upstream = os.pipe()
    downstream, sink = os.pipe()
    made = Bench(upstream, source, sink, downstream)
    yield made
    for end in (source, upstream, downstream, sink):
        try:
            os.close(end)
        except OSError:
            continue


def test_bytes_pass_and_are_metered(bench: Bench) -> None:
    flow, heard = bench.flow()
    assert flow.awaited is not None
    assert flow.awaited[0] == bench.source
    os.write(bench.upstream, b"stream")
    assert flow.step()
    assert os.read(bench.downstream, 100) == b"stream"
    assert heard == [6]


def test_nothing_to_move_is_no_step(bench: Bench) -> None:
    flow, heard = bench.flow()
    assert not flow.step()
    assert (heard, flow.blocked, flow.done) == ([], False, False)


def test_a_sink_that_takes_nothing_blocks_and_holds_no_more_than_a_buffer(bench: Bench) -> None:
    flow, heard = bench.flow()
    os.set_blocking(bench.upstream, False)
    taken = 0
    for _ in range(100):
        try:
            taken += os.write(bench.upstream, bytes(MIB))
        except BlockingIOError:
            if not flow.step():
                break
    assert flow.blocked
    assert flow.awaited is not None
    assert flow.awaited[0] == bench.sink
    assert taken - sum(heard) <= 2 * MIB


def test_the_end_is_told_after_the_last_byte(bench: Bench) -> None:
    flow, heard = bench.flow()
    os.write(bench.upstream, b"last")
    os.close(bench.upstream)
    flow.step()
    before = flow.done
    flow.step()
    assert (before, flow.done, flow.awaited, sum(heard)) == (False, True, None, 4)


def test_a_reader_that_left_breaks_it(bench: Bench) -> None:
    flow, heard = bench.flow()
    os.close(bench.downstream)
    os.write(bench.upstream, b"for nobody")
    assert not flow.step()
    assert flow.broken
    assert (flow.blocked, flow.awaited, heard) == (False, None, [])


def test_what_is_given_flows_without_a_source(bench: Bench) -> None:
    flow = Flow(None, bench.sink, lambda _: None, b"given")
    before = flow.done
    flow.step()
    assert (before, flow.done) == (False, True)
    assert os.read(bench.downstream, 100) == b"given"
