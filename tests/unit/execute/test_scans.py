"""Waiting for a scrub or a resilver: what ends the wait, what stops it, and what is shown meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest
from tests.fakes.standing import at, failed, standing, with_member, with_pool

from ec2zfs.errors import Ec2zfsError, HostError, HostKeyChanged, PoolUnwell
from ec2zfs.execute.scans import Pace, await_scan, failures, share, successors
from ec2zfs.model.contents import OpenMapping, ReceiverView
from ec2zfs.model.layout import Layout, Redundancy
from ec2zfs.model.line import Line
from ec2zfs.model.pool import DeviceState, Member, PoolStatus, Vdev
from ec2zfs.model.scan import Scan, ScanFunction, ScanState
from ec2zfs.model.standing import Standing
from ec2zfs.plan.simulated_pool import leaf

MIB = 1024**2
ONLINE, OFFLINE, FAULTED = DeviceState.ONLINE, DeviceState.OFFLINE, DeviceState.FAULTED
SCRUB, RESILVER = ScanFunction.SCRUB, ScanFunction.RESILVER
HEALTHY = standing()


@dataclass
class Told:
    """What the operator was shown: the lines, and each bar with how far it came."""

    lines: list[str] = field(default_factory=list)
    bars: dict[str, tuple[int, int | None]] = field(default_factory=dict)
    up: list[str] = field(default_factory=list)

    def say(self, message: str) -> None:
        self.lines.append(message)

    @contextmanager
    def bar(self, label: str, total: int | None, unit: str) -> Iterator[ToldBar]:
        assert unit == "B"
        assert label not in self.up, "two bars of one name at a time"
        self.bars[label] = (0, total)
        self.up.append(label)
        yield ToldBar(self, label)
        self.up.remove(label)


@dataclass
class ToldBar:
    """One of them."""

    told: Told
    label: str

    def advance(self, amount: int) -> None:
        assert amount >= 0
        done, total = self.told.bars[self.label]
        self.told.bars[self.label] = (done + amount, total)

    def measure(self, line: Line) -> None:
        raise AssertionError(f"{line}: nothing is measured here")


@dataclass
class Looks:
    """One look after the other, the last one for ever; an error is raised. Time passes only where somebody sleeps."""

    seen: Sequence[ReceiverView | Standing | Ec2zfsError]
    count: int = 0
    now: float = 0.0
    pauses: list[float] = field(default_factory=list)

    def __call__(self) -> ReceiverView:
        found = self.seen[min(self.count, len(self.seen) - 1)]
        self.count += 1
        if isinstance(found, Ec2zfsError):
            raise found
        return found.view if isinstance(found, Standing) else found

    def sleep(self, seconds: float) -> None:
        assert len(self.pauses) < 1000, "it waits for ever"
        self.pauses.append(seconds)
        self.now += seconds

    @property
    def pace(self) -> Pace:
        return Pace(sleep=self.sleep, clock=lambda: self.now)


def awaited(
    function: ScanFunction, *seen: ReceiverView | Standing | Ec2zfsError, told: Told | None = None
) -> tuple[PoolStatus, Looks]:
    looks = Looks(seen)
    pool = await_scan(looks, function, told or Told(), looks.pace).imported
    assert pool
    return pool, looks


def scan(function: ScanFunction, state: ScanState = ScanState.RUNNING, **more: int | str) -> Scan:
    return Scan(function, state, **more)  # type: ignore[arg-type]


def scrubbing(stands: Standing, state: ScanState = ScanState.RUNNING, **more: int | str) -> Standing:
    return with_pool(stands, scan=scan(SCRUB, state, **more))


def resilvering(stands: Standing, state: ScanState = ScanState.RUNNING, **more: int | str) -> Standing:
    return with_pool(stands, scan=scan(RESILVER, state, **more))


def replacing(stands: Standing, *places: str, allocated: int = 300 * MIB, written: int = 0, **new: object) -> Standing:
    """A replacement at each place: the old member and the new one of generation 2 side by side."""
    vdevs = list(stands.pool.vdevs)
    opened = list(stands.view.opened)
    for place in places:
        number = int(place[1]) - 1
        old, _ = at(stands, place)
        name = old.name.replace("-g1", "-g2")
        half = replace(leaf(f"/dev/mapper/{name}"), **{"replacing": True, "resilvering": True, **new})  # type: ignore[arg-type]
        members = vdevs[number].members
        index = members.index(old)
        both = (replace(old, replacing=True), half)
        vdevs[number] = replace(
            vdevs[number], members=(*members[:index], *both, *members[index + 1 :]), allocated=allocated
        )
        opened.append(OpenMapping(name, 2**30, written))
    changed = with_pool(stands, vdevs=tuple(vdevs))
    return changed.seeing(replace(changed.view, opened=tuple(opened)))


RESILVERING = resilvering(replacing(HEALTHY, "v1s1"))
DONE = resilvering(HEALTHY, ScanState.FINISHED)
LATE = resilvering(with_member(HEALTHY, at(HEALTHY, "v2s2")[0], resilvering=True), ScanState.FINISHED)
GAP = resilvering(replacing(HEALTHY, "v2s1", resilvering=False), ScanState.FINISHED)
"""Between two resilvers: the first has ended, the second has not begun, and nothing is marked (OpenZFS 2.3.2)."""

ENDS: dict[str, tuple[ScanFunction, tuple[Standing, ...], int]] = {
    "nothing to resilver": (RESILVER, (HEALTHY,), 1),
    "nothing any more": (RESILVER, (DONE,), 1),
    "a resilver": (RESILVER, (RESILVERING, RESILVERING, DONE), 3),
    "one after the other": (RESILVER, (RESILVERING, GAP, GAP, resilvering(replacing(HEALTHY, "v2s1")), DONE), 5),
    "one that waits its turn": (RESILVER, (RESILVERING, LATE, resilvering(LATE), DONE), 4),
    "a scrub": (SCRUB, (scrubbing(HEALTHY, issued=1, total=9), scrubbing(HEALTHY, ScanState.FINISHED)), 2),
    "a scrub that counts what it mends": (
        SCRUB,
        (
            scrubbing(HEALTHY),
            scrubbing(with_member(HEALTHY, at(HEALTHY, "v1s2")[0], checksum_errors=7)),
            scrubbing(HEALTHY, ScanState.FINISHED),
        ),
        3,
    ),
}


@pytest.mark.parametrize("name", ENDS)
def test_what_ends_a_wait(name: str) -> None:
    function, seen, looks = ENDS[name]
    status, made = awaited(function, *seen)
    assert status == seen[-1].pool
    assert made.count == looks


def new_half(state: DeviceState) -> Standing:
    return resilvering(replacing(HEALTHY, "v1s1", state=state))


SUSPENDED = with_pool(RESILVERING, state=DeviceState.SUSPENDED)
STOPS: dict[str, tuple[ScanFunction, tuple[Standing, ...], str]] = {
    "another volume fails": (RESILVER, (RESILVERING, failed(RESILVERING, "v1s3")), "v1s3 .* is FAULTED"),
    "one of another vdev": (RESILVER, (RESILVERING, failed(RESILVERING, "v2s3")), "v2s3 .* is FAULTED"),
    "it counts errors": (
        RESILVER,
        (RESILVERING, failed(RESILVERING, "v2s3", ONLINE, read_errors=3)),
        "v2s3 .* is ONLINE with 3 errors",
    ),
    "the new half is faulted": (RESILVER, (RESILVERING, new_half(FAULTED)), "v1s1 .cloud-v1s1-g2. is FAULTED"),
    "the new half was so from the first": (RESILVER, (new_half(DeviceState.UNAVAIL),), "v1s1-g2. is UNAVAIL"),
    "the new half is gone": (RESILVER, (new_half(DeviceState.REMOVED),), "v1s1-g2. is REMOVED"),
    "a known one gets worse": (
        RESILVER,
        (failed(RESILVERING, "v1s3", DeviceState.DEGRADED, read_errors=1), failed(RESILVERING, "v1s3", read_errors=9)),
        "v1s3 .* is FAULTED",
    ),
    "ZFS suspends": (RESILVER, (RESILVERING, SUSPENDED), "suspended it"),
    "nothing moves": (RESILVER, (RESILVERING, GAP), "no resilver runs, and yet one of .*v2s1-g2 is not complete"),
    "nothing begins": (RESILVER, (LATE,), "no resilver runs, and yet one of cloud-v2s2-g1 is not complete"),
    "a volume fails in a scrub": (SCRUB, (scrubbing(HEALTHY), scrubbing(failed(HEALTHY, "v1s3"))), "v1s3 .* FAULTED"),
    "a scrub is paused": (SCRUB, (scrubbing(HEALTHY), scrubbing(HEALTHY, ScanState.PAUSED)), "was paused"),
    "a scrub is canceled": (SCRUB, (scrubbing(HEALTHY), scrubbing(HEALTHY, ScanState.CANCELED)), "was canceled"),
    "a resilver comes between": (SCRUB, (scrubbing(HEALTHY), resilvering(HEALTHY)), "ended by a resilver"),
    "a scrub leaves errors": (
        SCRUB,
        (scrubbing(HEALTHY, ScanState.FINISHED, errors=2, line="scrub repaired 0B with 2 errors"),),
        "The scrub of pool cloud did not find it clean: scrub repaired 0B with 2 errors",
    ),
    "the pool is exported": (RESILVER, (RESILVERING, HEALTHY.seeing(ReceiverView())), "not imported any more"),
}


@pytest.mark.parametrize("name", STOPS)
def test_what_stops_a_wait(name: str) -> None:
    function, seen, words = STOPS[name]
    with pytest.raises(PoolUnwell, match=words) as caught:
        awaited(function, *seen)
    assert caught.value.hint


@pytest.mark.parametrize("name", [name for name in STOPS if STOPS[name][0] is RESILVER and "exported" not in name])
def test_a_second_failure_says_what_to_do(name: str) -> None:
    function, seen, _ = STOPS[name]
    with pytest.raises(PoolUnwell, match=r"Nothing was taken away.*`ec2zfs pool repair`.*the same command again"):
        awaited(function, *seen)


OLD_OUT = resilvering(replacing(failed(HEALTHY, "v1s1", OFFLINE), "v1s1"))
KNOWN: dict[str, tuple[Standing, ...]] = {
    "the old half is offline": (OLD_OUT, DONE),
    "the old half fails, and what comes is complete soon": (RESILVERING, new_half(ONLINE), OLD_OUT, DONE),
    "another was out before": (failed(RESILVERING, "v2s2"), failed(RESILVERING, "v2s2"), failed(DONE, "v2s2")),
    "and is gone altogether now": (
        failed(RESILVERING, "v2s2", OFFLINE),
        failed(RESILVERING, "v2s2", DeviceState.UNAVAIL),
        failed(DONE, "v2s2", DeviceState.REMOVED),
    ),
    "it had errors before": (failed(RESILVERING, "v2s2", ONLINE, read_errors=1), failed(DONE, "v2s2", ONLINE)),
    "it has more of them": (
        failed(RESILVERING, "v2s2", ONLINE, read_errors=1),
        failed(RESILVERING, "v2s2", ONLINE, read_errors=2),
        DONE,
    ),
    "the new half is degraded": (new_half(DeviceState.DEGRADED), DONE),
}


@pytest.mark.parametrize("name", KNOWN)
def test_what_was_bad_before_and_what_is_replaced_stops_nothing(name: str) -> None:
    status, looks = awaited(RESILVER, *KNOWN[name])
    assert (status, looks.count) == (KNOWN[name][-1].pool, len(KNOWN[name]))


def test_a_failure_is_told_of_a_volume_that_zfs_knows_by_number_only() -> None:
    gone = failed(DONE, "v2s2", DeviceState.UNAVAIL)
    member, _ = at(gone, "v2s2")
    first = {each.name: each for each in DONE.pool.members}
    unknown = with_member(gone, member, guid="7777777777777777777").pool
    assert [each.name for each in failures(first, unknown, count_errors=True)] == ["cloud-v2s2-g1"]


def test_it_looks_often_at_first_and_then_less() -> None:
    _, looks = awaited(RESILVER, *[RESILVERING] * 12, DONE)
    assert looks.pauses[0] == 0.5
    assert looks.pauses == sorted(looks.pauses)
    assert looks.pauses[-1] == 5.0


def test_a_lost_connection_is_tried_again_and_told_once() -> None:
    told = Told()
    lost = HostError("The receiver stopped answering.")
    status, looks = awaited(RESILVER, RESILVERING, lost, lost, lost, RESILVERING, lost, DONE, told=told)
    assert (status, looks.count) == (DONE.pool, 7)
    assert told.lines == ["The receiver stopped answering. Trying again."] * 2


def test_a_receiver_that_does_not_come_back_ends_the_wait() -> None:
    looks = Looks((RESILVERING, HostError("The receiver stopped answering.")))
    with pytest.raises(HostError, match="stopped answering"):
        await_scan(looks, RESILVER, Told(), looks.pace)
    assert 300 <= looks.now < 320


def test_a_receiver_with_another_host_key_is_not_tried_again() -> None:
    looks = Looks((RESILVERING, HostKeyChanged("Another key.")))
    with pytest.raises(HostKeyChanged):
        await_scan(looks, RESILVER, Told(), looks.pace)
    assert looks.count == 2


def test_a_bar_for_each_vdev_tells_what_is_written_onto_its_new_members() -> None:
    told = Told()
    steps = [resilvering(replacing(HEALTHY, "v1s1", "v2s3", written=each * MIB)) for each in (0, 30, 70, 130)]
    awaited(RESILVER, *steps, DONE, told=told)
    assert told.bars == {
        "v1 raidz1-0 resilver": (100 * MIB, 100 * MIB),
        "v2 raidz1-1 resilver": (100 * MIB, 100 * MIB),
    }
    assert told.up == []


def test_the_bar_of_a_vdev_that_is_done_goes_before_the_others() -> None:
    told = Told()
    both = resilvering(replacing(HEALTHY, "v1s1", "v2s3", written=MIB))
    second = resilvering(replacing(HEALTHY, "v2s3", written=2 * MIB))
    up: list[list[str]] = []
    looks = Looks((both, second, second, DONE))

    def look() -> ReceiverView:
        up.append(list(told.up))
        return looks()

    await_scan(look, RESILVER, told, looks.pace)
    assert [len(each) for each in up] == [0, 2, 1, 1]
    assert told.bars["v1 raidz1-0 resilver"][0] == MIB
    assert told.bars["v2 raidz1-1 resilver"][0] == 2 * MIB


def test_what_came_back_had_been_written_on_before() -> None:
    told = Told()
    steps = []
    for written in (900, 910, 920):
        back = with_member(HEALTHY, at(HEALTHY, "v2s2")[0], resilvering=True)
        vdevs = tuple(replace(each, allocated=300 * MIB) for each in back.pool.vdevs)
        opened = (OpenMapping("cloud-v2s2-g1", 2**30, written * MIB),)
        view = replace(back.view, opened=opened, imported=replace(back.pool, vdevs=vdevs, scan=scan(RESILVER)))
        steps.append(view)
    awaited(RESILVER, *steps, DONE, told=told)
    assert told.bars == {"v2 raidz1-1 resilver": (20 * MIB, 100 * MIB)}


def test_without_mappings_the_scan_itself_tells_how_far_it_is() -> None:
    told = Told()
    bare = resilvering(replacing(HEALTHY, "v1s1"), issued=25, total=100)
    awaited(RESILVER, bare.seeing(replace(bare.view, opened=())), DONE, told=told)
    assert told.bars == {"v1 raidz1-0 resilver": (25 * MIB, 100 * MIB)}


def test_a_scrub_has_one_bar() -> None:
    told = Told()
    steps = [scrubbing(HEALTHY, issued=each, total=100) for each in (10, 40, 90)]
    awaited(SCRUB, *steps, scrubbing(HEALTHY, ScanState.FINISHED), told=told)
    assert told.bars == {"scrub": (90, 100)}


def vdev(kind: str, *members: Member) -> Vdev:
    return Vdev(f"{kind}-0", kind, ONLINE, members, allocated=600)


def bare(number: int, **changes: object) -> Member:
    return Member(f"/dev/disk/by-id/nvme-vol{number}-part1", ONLINE, **changes)  # type: ignore[arg-type]


def ours(place: str, generation: int = 1, **changes: object) -> Member:
    return replace(leaf(f"/dev/mapper/cloud-{place}-g{generation}"), **changes)  # type: ignore[arg-type]


VDEVS: dict[str, tuple[Vdev, list[str], int]] = {
    "nothing": (vdev("raidz1", ours("v1s1"), ours("v1s2"), ours("v1s3")), [], 200),
    "one replaced": (
        vdev("raidz1", ours("v1s1", replacing=True), ours("v1s1", 2, replacing=True), ours("v1s2"), ours("v1s3")),
        ["cloud-v1s1-g2"],
        200,
    ),
    "two replaced": (
        vdev(
            "raidz1",
            *(ours("v1s1", each, replacing=True) for each in (1, 2)),
            *(ours("v1s2", each, replacing=True) for each in (1, 2)),
            ours("v1s3"),
        ),
        ["cloud-v1s1-g2", "cloud-v1s2-g2"],
        200,
    ),
    "a failed new half replaced": (
        vdev("raidz1", *(ours("v1s1", each, replacing=True) for each in (1, 2, 3)), ours("v1s2"), ours("v1s3")),
        ["cloud-v1s1-g3"],
        200,
    ),
    "one that came back": (
        vdev("raidz1", ours("v1s1", resilvering=True), ours("v1s2"), ours("v1s3")),
        ["cloud-v1s1-g1"],
        200,
    ),
    "a mirror": (
        vdev("mirror", ours("v1s1", replacing=True), ours("v1s1", 2, replacing=True), ours("v1s2")),
        ["cloud-v1s1-g2"],
        600,
    ),
    "a lone disk": (
        vdev("disk", ours("v1s1", replacing=True), ours("v1s1", 2, replacing=True)),
        ["cloud-v1s1-g2"],
        600,
    ),
    "without encryption": (
        vdev("raidz1", *(bare(each, replacing=True) for each in (1, 2, 3, 4)), bare(5)),
        ["nvme-vol2-part1", "nvme-vol4-part1"],
        200,
    ),
}


@pytest.mark.parametrize("name", VDEVS)
def test_who_is_written_on_and_how_much(name: str) -> None:
    seen, new, bytes_each = VDEVS[name]
    assert [each.name for each in successors(seen)] == new
    assert share(seen) == bytes_each


def test_a_pool_of_mirrors() -> None:
    told = Told()
    mirrors = standing(Layout(Redundancy.MIRROR, 2, 2, 1))
    awaited(RESILVER, resilvering(replacing(mirrors, "v2s1", written=50 * MIB)), mirrors, told=told)
    assert told.bars == {"v2 mirror-1 resilver": (50 * MIB, 300 * MIB)}
