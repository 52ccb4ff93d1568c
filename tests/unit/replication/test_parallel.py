"""Several datasets at once: how many, in which order under their parents, and what is left when one or all are stopped.

A stream that meets the others at a barrier proves that they run at the same time; all else is held against one stream.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import sweep
from tests.fakes.fuse import Fuse, Killed
from tests.fakes.zfs_changes import rename
from tests.fakes.zfs_world import WorldTransport
from tests.unit.replication.test_interruptions import rich_day, settled
from tests.unit.replication.world import World

from ec2zfs.errors import CommandFailed, Ec2zfsError, HostError, NoSpace
from ec2zfs.execute.progress import Bar, Silent
from ec2zfs.execute.replication_report import ReplicationReport
from ec2zfs.hosts.halting import Halted, pause
from ec2zfs.hosts.host import Stage
from ec2zfs.model.line import Line
from ec2zfs.model.source import Source
from ec2zfs.transport.transport import unwatched

SECONDS = 10.0
"""After which a barrier is given up: the streams did not run at the same time."""


@dataclass
class Watched(WorldTransport):
    """Tells which datasets are being sent; `during` is called for each stream half way, with the dataset's name."""

    during: Callable[[str], object] = lambda _: None
    events: list[tuple[str, str]] = field(default_factory=list)
    under_way: set[str] = field(default_factory=set)
    most: int = 0

    def carry(
        self,
        sender: Stage,
        receiver: Stage,
        meter: Callable[[int], None],
        watch: Callable[[Line], None] = unwatched,
    ) -> None:
        name = receiver.command.argv[-1].removeprefix("cloud/")
        first = True

        def half_way(amount: int) -> None:
            nonlocal first
            if first:
                first = False
                self.during(name)
            meter(amount)

        self.under_way.add(name)
        self.most = max(self.most, len(self.under_way))
        self.events.append(("begin", name))
        try:
            super().carry(sender, receiver, half_way, watch)
        except BaseException as failure:
            self.events.append((type(failure).__name__, name))
            raise
        else:
            self.events.append(("end", name))
        finally:
            self.under_way.discard(name)


def world_of(*names: str, streams: int, during: Callable[[str], object] = lambda _: None) -> tuple[World, Watched]:
    """`tank` is copied already; below it each of the names has one snapshot that is not."""
    transport = Watched()
    world = World(transport=transport)
    world.take("one")
    world.replicate().raise_for_errors()
    for name in names:
        world.site.zfs.create(name)
        world.site.zfs.snapshot(name, "one", 100)
    transport.events.clear()
    transport.during, world.streams = during, streams
    return world, transport


def siblings(count: int) -> tuple[str, ...]:
    return tuple(f"tank/{number}" for number in range(count))


@pytest.mark.parametrize("streams", [1, 2, 4])
def test_as_many_as_allowed_run_at_the_same_time_and_never_more(streams: int) -> None:
    barrier = threading.Barrier(streams)
    world, transport = world_of(*siblings(3 * streams), streams=streams, during=lambda _: barrier.wait(SECONDS))
    report = world.replicate()
    report.raise_for_errors()
    assert (report.steps, transport.most) == (3 * streams, streams)
    assert [each.replica.source for each in report.datasets] == sorted(["tank", *siblings(3 * streams)])
    assert (world.held(), world.noted()) == ({}, {})


def test_nothing_begins_below_a_first_copy_before_that_is_done() -> None:
    names = ("tank/a", "tank/a/b", "tank/a/b/c", "tank/a/d", "tank/e")
    beside = threading.Barrier(2)
    together = {"tank/a", "tank/e"}
    world, transport = world_of(
        *names, streams=4, during=lambda name: beside.wait(SECONDS) if name in together else None
    )
    world.replicate().raise_for_errors()
    for below, above in (("tank/a/b", "tank/a"), ("tank/a/b/c", "tank/a/b"), ("tank/a/d", "tank/a")):
        assert transport.events.index(("end", above)) < transport.events.index(("begin", below))


def test_children_of_a_copy_that_stands_do_not_wait_for_it() -> None:
    world, _ = world_of("tank/a", streams=1)
    world.replicate().raise_for_errors()
    world.site.zfs.snapshot("tank", "two", 10)
    world.site.zfs.snapshot("tank/a", "two", 10)
    beside = threading.Barrier(2)
    world.streams, world.transport.hook = 2, lambda event: event == "stream: half way" and beside.wait(SECONDS)
    assert world.replicate().steps == 2


def test_others_begin_as_soon_as_the_parent_that_one_creates_is_there() -> None:
    world, beside = World(streams=2), threading.Barrier(2)
    for name in ("tank/deep", "tank/deep/er", "tank/deep/er/a", "tank/deep/er/b"):
        world.site.zfs.create(name)
        world.site.zfs.snapshot(name, "one", 100)
    world.transport.hook = lambda event: event == "stream: half way" and beside.wait(SECONDS)
    world.replicate([Source("tank/deep/er/a"), Source("tank/deep/er/b")]).raise_for_errors()
    parents: dict[str, list[str]] = {"tank": [], "tank/deep": [], "tank/deep/er": []}
    assert world.copies() == parents | {"tank/deep/er/a": ["one"], "tank/deep/er/b": ["one"]}


def test_a_copy_is_renamed_while_nothing_else_is_under_way() -> None:
    world, transport = world_of(*siblings(4), streams=4)
    world.replicate().raise_for_errors()
    rename(world.site.zfs, ["tank/2", "tank/1a"])
    world.take("two")
    transport.during = lambda _: pause(0.05)
    seen = list[set[str]]()

    def look(event: str) -> None:
        if "before zfs rename" in event:
            seen.append(set(transport.under_way))

    world.receiver.hook = look
    world.replicate().raise_for_errors()
    assert seen == [set()]
    assert set(world.copies()) == {"tank", "tank/0", "tank/1", "tank/1a", "tank/3"}
    assert (world.held(), world.noted()) == ({}, {})


def test_what_stops_one_stops_no_other_and_what_is_below_waits_for_the_next_run() -> None:
    def refused(name: str) -> None:
        if name == "tank/a":
            raise CommandFailed("receiver", ("zfs", "receive"), 1, "cannot receive: odd")

    world, transport = world_of("tank/a", "tank/a/b", "tank/c", "tank/d", streams=3, during=refused)
    tank, a, b, c, d = world.replicate().datasets
    assert [each.error is None for each in (tank, a, b, c, d)] == [True, False, True, True, True]
    assert b.note == "it waits for the first copy of its parent"
    assert [each.to for each in (c, d)] == ["one", "one"]
    assert ("begin", "tank/a/b") not in transport.events


@pytest.mark.parametrize(
    "failure", [HostError("receiver is gone"), NoSpace("the pool is full"), Killed("a defect")], ids=repr
)
def test_what_stops_all_ends_those_that_run_and_is_raised_itself(
    failure: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ec2zfs.execute.replica_run.SETBACKS", 0)
    beside = threading.Barrier(3)

    def stopped(name: str) -> None:
        beside.wait(SECONDS)
        if name == "tank/1":
            raise failure
        pause(SECONDS)
        raise AssertionError("nobody ended it")

    world, transport = world_of(*siblings(9), streams=3, during=stopped)
    with pytest.raises(type(failure)) as raised:
        world.replicate()
    assert raised.value is failure
    assert sorted(transport.events) == sorted(
        [
            *(("begin", name) for name in siblings(3)),
            *((Halted.__name__, name) for name in ("tank/0", "tank/2")),
            (type(failure).__name__, "tank/1"),
        ]
    )
    assert {f"{name}@one" for name in siblings(3)} <= set(world.held())
    resumes_where_it_was(world, transport, 9)


def resumes_where_it_was(world: World, transport: Watched, datasets: int) -> None:
    """The next run sends the rest of what was cut, and ends with all copies equal and nothing held."""
    transport.during = lambda _: None
    transport.carried.clear()
    world.replicate().raise_for_errors()
    assert sum(line.startswith("-t ") for line in transport.carried) == 3
    assert list(world.copies().values()) == [["one"]] * (datasets + 1)
    assert (world.held(), world.noted()) == ({}, {})


class Impatient(Silent):
    """Ctrl-C comes to the main thread while it is told of the first bytes."""

    @contextmanager
    def _bar(self) -> Iterator[Bar]:
        yield self

    def bar(self, label: str, total: int | None, unit: str) -> AbstractContextManager[Bar]:
        return self._bar()

    def advance(self, amount: int) -> None:
        assert threading.current_thread() is threading.main_thread()
        raise KeyboardInterrupt

    def measure(self, line: Line) -> None:
        raise AssertionError(f"{line}: nothing is measured here")


def test_an_interrupt_of_the_main_thread_ends_all_that_run() -> None:
    beside = threading.Barrier(3)

    def long(name: str) -> None:
        beside.wait(SECONDS)
        if name != "tank/1":
            pause(SECONDS)

    world, transport = world_of(*siblings(9), streams=3, during=long)
    world.listener = Impatient()

    def longer(event: str) -> None:
        if event == "stream: half way":
            pause(SECONDS)

    transport.hook = longer
    with pytest.raises(KeyboardInterrupt):
        world.replicate()
    assert sorted(transport.events) == sorted((how, name) for how in ("begin", "Halted") for name in siblings(3))
    world.listener, transport.hook = Silent(), lambda _: None
    resumes_where_it_was(world, transport, 9)


def test_dying_at_any_moment_changes_nothing_in_the_end() -> None:
    straight = rich_day()
    counting = Fuse()
    straight.listen(counting.step)
    straight.replicate().raise_for_errors()
    for moment in range(1, len(counting.calls) + 1, 3):
        world = rich_day()
        world.streams = 3
        world.listen(Fuse(moment).step)
        with pytest.raises(Killed):
            world.replicate()
        world.listen()
        world.replicate().raise_for_errors()
        assert settled(world) == settled(straight), moment
        assert (world.held(), world.noted()) == ({}, {}), moment


@dataclass(frozen=True)
class Tree:
    """Datasets, by which of the earlier ones each stands below, with the number of snapshots that each has and of those
    that are copied already; and where streams fail: in which dataset, at the first byte or half way.
    """

    parents: list[int]
    snapshots: list[tuple[int, int]]
    failing: dict[int, bool]
    recursive: bool

    @property
    def names(self) -> list[str]:
        names = ["tank"]
        for place, parent in enumerate(self.parents):
            names.append(f"{names[parent % len(names)]}/{place}")
        return names


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    size = draw(st.integers(1, 9))
    places = st.integers(0, size)
    number = st.tuples(st.integers(0, 3), st.integers(0, 3))
    return Tree(
        draw(st.lists(places, min_size=size, max_size=size)),
        draw(st.lists(number, min_size=size + 1, max_size=size + 1)),
        draw(st.dictionaries(places, st.booleans(), max_size=4)),
        draw(st.booleans()),
    )


def outcome(tree: Tree, streams: int) -> object:
    """All that can be seen after a run in which streams fail, and after one more in which none does."""
    failing = {tree.names[place]: half_way for place, half_way in tree.failing.items()}

    def refused(name: str) -> None:
        if failing.get(name):
            raise CommandFailed("receiver", ("zfs", "receive"), 1, f"cannot receive {name}: odd")

    transport = Watched()
    world = World(transport=transport)
    sources = [Source("tank")] if tree.recursive else [Source(name, recursive=False) for name in tree.names[1:]]
    for name in tree.names[1:]:
        world.site.zfs.create(name)
    for last in (False, True):
        for name, (before, after) in zip(tree.names, tree.snapshots, strict=True):
            for number in range(before, before + after) if last else range(before):
                world.site.zfs.snapshot(name, f"s{number}", 10 * number)
        if not last:
            world.replicate(sources)
    for name, half_way in failing.items():
        if not half_way and (copy := world.receiver.zfs.datasets.get(f"cloud/{name}")):
            copy.written = 1
    transport.during, world.streams = refused, streams
    first = world.replicate(sources)
    seen = told(first), settled(world), world.held(), world.noted()
    transport.during = lambda _: None
    return seen, told(world.replicate(sources)), settled(world), world.held(), world.noted()


def told(report: ReplicationReport) -> object:
    with suppress(Ec2zfsError):
        report.raise_for_errors()
    return [
        (each.replica.source, [sent.words for sent in each.sent], each.note, each.warnings, str(each.error))
        for each in report.datasets
    ]


@settings(max_examples=sweep.examples(50), deadline=None)
@given(trees())
def test_side_by_side_the_outcome_is_that_of_one_after_the_other(tree: Tree) -> None:
    assert outcome(tree, 4) == outcome(tree, 1)
