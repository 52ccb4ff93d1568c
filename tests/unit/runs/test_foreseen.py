"""What work on the pool comes to is what the simulation foresaw: on an imagined machine, whatever fails before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from tests.fakes.cloud import FakeVolumes
from tests.fakes.day import POOL_KEY, Controller, Day
from tests.fakes.pool_machine import PoolMachine
from tests.fakes.pools import SIX, ZONE
from tests.unit.runs.days import machine_of

from ec2zfs.errors import PoolUnwell
from ec2zfs.execute import scans
from ec2zfs.model.scan import ScanFunction
from ec2zfs.model.standing import Picture, Standing, picture
from ec2zfs.model.volume import Volume
from ec2zfs.plan.addition import plan_addition
from ec2zfs.plan.growth import plan_in_place
from ec2zfs.plan.repair import Mending
from ec2zfs.plan.replacement import Caution, Want, plan_replacement
from ec2zfs.plan.simulation import foreseen
from ec2zfs.plan.upkeep import AwaitScan, ExpandMembers, ReopenMember, Step
from ec2zfs.runs.repair import Mender
from ec2zfs.runs.upkeep import OpenPool, opened

WANT = Want(1, "gp3", ZONE)
LARGER = replace(WANT, size_gib=2)
CAREFUL = Caution(timedelta(days=7))
Plan = Callable[[Standing], Step]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = partial(scans.await_scan, pace=scans.Pace(sleep=lambda _: None))
    monkeypatch.setattr("ec2zfs.runs.upkeep.await_scan", quick)


@pytest.fixture
def day() -> Day:
    return Day(layout=SIX)


def at(day: Day, place: str, generation: int = 1) -> Volume:
    return next(each for each in day.volumes.paid if (str(each.place), each.generation) == (place, generation))


def pull(day: Day, place: str, *, again: bool = False) -> None:
    volume = at(day, place)
    bond = volume.attachment
    assert bond
    day.volumes.detach(volume, force=True)
    day.volumes.volumes()
    if again:
        # The kernel missed it in between: a look that nobody asked for.
        machine_of(day).stale.add(volume.mapping)
        day.volumes.attach(volume, bond.instance_id, bond.device)
        day.volumes.volumes()


def worked(
    day: Day, planner: Callable[[], Plan], before: Callable[[Day], None] = lambda _: None
) -> tuple[Picture, Picture, Standing]:
    """What a plan was foreseen to lead to, what it led to, and the whole of that; the pool is locked afterwards."""
    controller = Controller(day)
    with opened(controller.upkeep(), POOL_KEY, controller.journal) as pool:
        before(day)
        _, after = foreseen(planner(), pool.observe())
        standing = pool.work(planner())
        return picture(after), picture(standing), standing


def mender() -> Plan:
    return Mender(WANT, CAREFUL, Mending()).plan


def replacer() -> Plan:
    return lambda standing: plan_replacement(LARGER, standing, CAREFUL)


def one_of_each_vdev(day: Day) -> None:
    for name in ("cloud-v1s1-g1", "cloud-v2s3-g1"):
        machine_of(day).fail(name)


FAILURES: dict[str, Callable[[Day], None]] = {
    "nothing": lambda _: None,
    "faulted": lambda day: machine_of(day).fail("cloud-v1s2-g1"),
    "one of each vdev": one_of_each_vdev,
    "pulled": lambda day: pull(day, "v1s2"),
    "pulled and put back": lambda day: pull(day, "v1s2", again=True),
    "broken at EC2": lambda day: day.volumes.break_volume(at(day, "v1s2").id),
    "counted errors": lambda day: machine_of(day).zfs.fail("cloud-v2s2-g1", "ONLINE", errors=3),
}

WAIT = AwaitScan(ScanFunction.RESILVER)


@pytest.mark.parametrize("failure", FAILURES)
def test_a_repair_leads_where_it_was_foreseen(day: Day, failure: str) -> None:
    want, got, standing = worked(day, mender, FAILURES[failure])

    assert got == want
    assert standing.pool.healthy
    assert day.volumes.made == 6 + (failure == "broken at EC2")


def test_a_volume_that_is_dead_is_tried_and_then_replaced(day: Day) -> None:
    _, _, standing = worked(day, mender, lambda day: machine_of(day).fail("cloud-v1s2-g1", for_good=True))

    assert standing.pool.healthy
    assert machine_of(day).members[1] == "cloud-v1s2-g2"
    assert at(day, "v1s2").retirement


def test_a_volume_that_leaves_while_it_is_tried_is_tried_again_once_it_is_attached(day: Day) -> None:
    repair = mender()
    tried: list[Step] = []

    def leaves(standing: Standing) -> Step:
        step = repair(standing)
        if any(isinstance(action, ReopenMember) for action in step):
            tried.append(step)
            if len(tried) == 1:
                pull(day, "v1s2")
        return step

    _, _, standing = worked(day, lambda: leaves, lambda day: machine_of(day).fail("cloud-v1s2-g1"))

    assert (len(tried), standing.pool.healthy, day.volumes.made) == (2, True, 6)


def test_a_growth_by_replacement_leads_where_it_was_foreseen(day: Day) -> None:
    want, got, standing = worked(day, replacer)

    assert got == want
    assert (day.volumes.made, standing.pool.healthy) == (12, True)
    assert {each.size_gib for each in standing.current} == {2}


@pytest.mark.parametrize("looks", [0, 1, 5])
def test_however_long_a_resilver_takes(looks: int) -> None:
    machine = PoolMachine(FakeVolumes("cloud"))
    machine.zfs.scan_looks = looks
    day = Day(machine=machine, layout=SIX)

    want, got, _ = worked(day, replacer)

    assert got == want


def test_growth_in_place_is_used_once_luks_and_zfs_were_told(day: Day) -> None:
    controller = Controller(day)
    with opened(controller.upkeep(), POOL_KEY, controller.journal) as pool:
        before = pool.work(lambda standing: plan_in_place(LARGER, standing)).pool
        assert all(vdev.expandable == 0 for vdev in before.vdevs)

        pool.carry_out((ExpandMembers(pool.observe().current),))

        assert pool.status().size == 2 * before.size


def test_a_vdev_more(day: Day) -> None:
    day.design = replace(day.design, layout=replace(SIX, vdevs=3))

    want, got, standing = worked(day, lambda: partial(plan_addition, WANT))

    assert got == want
    assert [len(vdev.members) for vdev in standing.pool.vdevs] == [3, 3, 3]


def resilvers(pool: OpenPool) -> None:
    """Step after step until a resilver is to be waited for."""
    while (step := replacer()(pool.observe()))[-1] != WAIT:
        pool.carry_out(step)
    pool.carry_out(step[:-1])


def test_a_second_failure_in_a_resilver_ends_the_wait_and_takes_nothing_away(day: Day) -> None:
    controller = Controller(day)
    with opened(controller.upkeep(), POOL_KEY, controller.journal) as pool:
        resilvers(pool)
        machine_of(day).fail("cloud-v2s3-g1", for_good=True)
        with pytest.raises(PoolUnwell):
            pool.carry_out((WAIT,))

    assert not [each for each in day.volumes.paid if each.retirement]
    worked(day, mender)
    _, _, standing = worked(day, replacer)
    assert standing.pool.healthy
    assert {each.size_gib for each in standing.current} == {2}
    # What took the dead one's place was as large as its new neighbour, and need not be replaced again.
    assert day.volumes.made == 6 + 6


def test_a_resilver_goes_on_on_another_receiver() -> None:
    machine = PoolMachine(FakeVolumes("cloud"))
    machine.zfs.scan_looks = 3
    day = Day(machine=machine, layout=SIX)
    controller = Controller(day)
    with opened(controller.upkeep(), POOL_KEY, controller.journal) as pool:
        resilvers(pool)

    want, got, standing = worked(day, replacer)

    assert got == want
    assert (day.volumes.made, standing.pool.healthy) == (12, True)
