"""Trees in which anything happens between runs and in them: the events, and a watch on what runs must not touch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count

from tests.fakes.fuse import Fuse, Killed
from tests.fakes.zfs_changes import rename
from tests.fakes.zfs_pool import FakeDataset, Pool, Stream, ZfsSays
from tests.unit.replication.world import NOW, TANK, World

from ec2zfs.errors import CommandFailed, HostError, NoSpace
from ec2zfs.execute.replication_report import ReplicationReport
from ec2zfs.model.policy import Keep, PolicyRule, Schedule, Tier
from ec2zfs.model.snapshot_name import snapshot_name, snapshot_parts
from ec2zfs.plan.replication import ReplicationPlan
from ec2zfs.runs.snapshots import Site

DAILIES = 2
"""Of the daily snapshots so many are kept in each tier; of all others that `ec2zfs` did not make each one."""

SCHEDULE = Schedule(
    rules=(
        PolicyRule(("**",), {tier: {"daily": Keep(DAILIES)} for tier in Tier}),
        PolicyRule(("**/excluded",), exclude=True),
    )
)
NAMES = ("tank/a", "tank/a/deep", "tank/b", "tank/b/deep", "tank/c", "tank/volume", "tank/sealed", "tank/excluded")
FAULTS: dict[str, Callable[[], BaseException]] = {
    "lost": lambda: HostError("the line is lost"),
    "send": lambda: CommandFailed("site", ("zfs", "send"), 1, "warning: cannot send: Input/output error"),
    "receive": lambda: CommandFailed("receiver", ("zfs", "receive"), 1, "cannot receive: invalid stream"),
    "busy": lambda: CommandFailed("receiver", ("zfs", "receive"), 1, "cannot receive: dataset is busy"),
    "killed": lambda: Killed("half way"),
}


@dataclass(frozen=True)
class Event:
    """Something that happens to a dataset, or a run; `other` is another name, `number` what the kind of event needs."""

    what: str
    name: str = "tank"
    other: str = "tank"
    number: int = 0


@dataclass
class Watched:
    """A world with a site's pruning, and what is known of it from outside."""

    world: World = field(default_factory=World)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.site = Site(self.world.site, TANK, SCHEDULE)
        self.world.selection = self.site.sent(lambda: NOW)

    def happen(self, event: Event) -> None:
        """Let an event happen, if it can."""
        with suppress(ZfsSays):
            EVENTS[event.what](self, event)

    def run(self, *, moment: int = 0) -> ReplicationReport | None:
        """A run, which dies at a moment unless that is 0; its report, if it came to one."""
        if moment:
            self.world.listen(Fuse(moment).step)
        try:
            with untouched(self.world.site.zfs), untouched(self.world.receiver.zfs):
                return self.world.replicate()
        except (Killed, HostError, NoSpace):
            return None
        finally:
            self.world.listen()

    def plan(self) -> ReplicationPlan:
        """What a run would do now."""
        replicator = self.world.replicator()
        return replicator.plan(replicator.observe(TANK))

    def daily_run(self) -> None:
        """A run after which both sides are pruned, as `ec2zfs backup` does."""
        report = self.run()
        ended = [each for each in report.datasets if not each.error] if report else []
        whole = {each.replica.target: each.replica.source for each in ended}
        with only_ours_go(self.world.site.zfs, "ec2zfs:period"), only_ours_go(self.world.receiver.zfs, "ec2zfs:send"):
            self.site.prune(NOW)
            self.site.prune_copies(self.world.receiver, "cloud", whole, NOW)


def snapshots(pool: Pool) -> dict[int, list[int]]:
    """The GUIDs of the snapshots of each dataset, by its GUID."""
    return {held.guid: [snap.guid for snap in held.snapshots] for held in pool.datasets.values()}


@contextmanager
def untouched(pool: Pool) -> Iterator[None]:
    """No dataset, snapshot or foreign bookmark goes in the block, and nothing that was written to a dataset.

    What a receive has begun and not ended for the first time is nobody's yet.
    """
    before, written = snapshots(pool), {held.guid: held.written for held in pool.datasets.values()}
    begun = {held.guid for held in pool.datasets.values() if held.partial and not held.snapshots}
    marks = _foreign_bookmarks(pool)
    yield
    after = snapshots(pool)
    for guid, history in before.items():
        assert guid in after or guid in begun
        assert after.get(guid, [])[: len(history)] == history
    assert all(held.written >= written.get(held.guid, 0) for held in pool.datasets.values())
    assert _foreign_bookmarks(pool) == marks


def _foreign_bookmarks(pool: Pool) -> set[tuple[int, str]]:
    return {
        (held.guid, mark.name)
        for held in pool.datasets.values()
        for mark in held.bookmarks
        if not mark.name.startswith("ec2zfs_cloud_")
    }


@contextmanager
def only_ours_go(pool: Pool, marked_by: str) -> Iterator[None]:
    """What goes in the block are snapshots of ours that are not among the newest dailies, and no dataset."""
    spared = {
        snap.guid
        for name, held in pool.datasets.items()
        for snap in held.snapshots
        if snapshot_parts(snap.name) is None
        or not (dict(snap.properties).get(marked_by) or pool.user_property(name, marked_by) != "-")
        or snap.guid in [each.guid for each in held.snapshots if snapshot_parts(each.name)][-DAILIES:]
        or held.holds.get(snap.guid)
    }
    before = snapshots(pool)
    yield
    after = snapshots(pool)
    assert before.keys() == after.keys()
    assert all(guid in after[of] for of, history in before.items() for guid in history if guid in spared)


def _take(watched: Watched, event: Event) -> None:
    """Nobody's snapshot, or one of ours."""
    number = next(watched.numbers)
    names = [event.name] if event.number % 3 else list(watched.world.site.zfs.datasets)
    for name in names:
        watched.world.site.zfs.find(name)
        if event.number % 2:
            daily = snapshot_name(NOW - timedelta(days=1000 - number), "daily")
            watched.world.site.zfs.snapshot(name, daily, 50, (("ec2zfs:period", "daily"),))
        else:
            watched.world.site.zfs.snapshot(name, f"by hand {number}", event.number + 10)


def _create(watched: Watched, event: Event) -> None:
    _require_folder(watched.world.site.zfs, event.name)
    kind = "volume" if event.name.endswith("volume") else "filesystem"
    watched.world.site.zfs.create(event.name, kind=kind, encrypted=event.name.endswith("sealed"))
    _take(watched, Event("take", event.name, number=4))


def _require_folder(pool: Pool, name: str) -> None:
    above = pool.datasets.get(name.rpartition("/")[0])
    if above is None or above.kind == "volume":
        raise ZfsSays("parent is not a filesystem")


def _rename(watched: Watched, event: Event) -> None:
    _require_folder(watched.world.site.zfs, event.other)
    rename(watched.world.site.zfs, [event.name, event.other])


def _exchange(watched: Watched, event: Event) -> None:
    pool = watched.world.site.zfs
    short, long = sorted((event.name, event.other))
    if f"{long}/".startswith(f"{short}/"):
        return
    pool.find(event.name), pool.find(event.other)
    for old, new in ((event.name, "tank/between"), (event.other, event.name), ("tank/between", event.other)):
        rename(pool, [old, new])


def _destroy(watched: Watched, event: Event) -> None:
    pool = watched.world.site.zfs
    below = [name for name in pool.datasets if f"{name}/".startswith(f"{event.name}/")]
    if event.name != "tank" and not any(any(pool.find(name).holds.values()) for name in below):
        for name in below:
            del pool.datasets[name]


def _lose_snapshot(pool: Pool, name: str, number: int) -> None:
    held = pool.find(name)
    if held.snapshots:
        pool.destroy_snapshot(f"{name}@{held.snapshots[number % len(held.snapshots)].name}")


def _lose_bookmarks(watched: Watched, event: Event) -> None:
    marks = watched.world.site.zfs.find(event.name).bookmarks
    del marks[event.number % 3 :]


def _bookmark(watched: Watched, event: Event) -> None:
    held = watched.world.site.zfs.find(event.name)
    if held.snapshots:
        newest = f"{event.name}@{held.snapshots[-1].name}"
        watched.world.site.zfs.bookmark(newest, f"{event.name}#by hand {next(watched.numbers)}")


def _copy(watched: Watched, event: Event) -> FakeDataset:
    return watched.world.receiver.zfs.find(f"cloud/{event.name}")


def _write(watched: Watched, event: Event) -> None:
    copy = _copy(watched, event)
    copy.written += 10
    if event.number % 2:
        watched.world.receiver.zfs.snapshot(f"cloud/{event.name}", f"theirs {next(watched.numbers)}")


def _leave_token(watched: Watched, event: Event) -> None:
    """A receive of somebody else was cut."""
    copy = _copy(watched, event)
    base = copy.snapshots[-1].guid if copy.snapshots and event.number % 2 else 0
    stream = Stream("elsewhere@x", 77 + event.number, base, copy.encrypted, copy.encrypted, copy.kind, 9)
    if copy.snapshots and not copy.partial:
        copy.partial = (stream, 4)


def _stranger(watched: Watched, event: Event) -> None:
    name, pool = f"cloud/{event.name}", watched.world.receiver.zfs
    _require_folder(pool, name)
    pool.create(name)
    if event.number % 2:
        pool.snapshot(name, "theirs")


def _unmark(watched: Watched, event: Event) -> None:
    _copy(watched, event).properties.pop("ec2zfs:source", None)


def _fail(watched: Watched, event: Event) -> None:
    """A run of which some streams meet a fault."""
    transport, fault = watched.world.transport, FAULTS[event.other]
    transport.number = count(1)
    first = 1 + event.number % 4
    transport.break_at = {each: fault() for each in range(first, first + (event.number % 7))}
    watched.run()
    transport.break_at = {}


def _fill(watched: Watched, event: Event) -> None:
    watched.world.receiver.zfs.available = event.number * 20
    watched.run()
    watched.world.receiver.zfs.available = 1 << 40


EVENTS: dict[str, Callable[[Watched, Event], object]] = {
    "take": _take,
    "create": _create,
    "rename": _rename,
    "exchange": _exchange,
    "destroy": _destroy,
    "lose snapshot": lambda watched, event: _lose_snapshot(watched.world.site.zfs, event.name, event.number),
    "lose bookmarks": _lose_bookmarks,
    "bookmark": _bookmark,
    "lose copied": lambda watched, event: _lose_snapshot(
        watched.world.receiver.zfs, f"cloud/{event.name}", event.number
    ),
    "let go": lambda watched, event: watched.world.site.zfs.find(event.name).holds.clear(),
    "write": _write,
    "token": _leave_token,
    "stranger": _stranger,
    "unmark": _unmark,
    "run": lambda watched, event: watched.run(moment=event.number),
    "daily run": lambda watched, event: watched.daily_run(),
    "fail": _fail,
    "fill": _fill,
}
