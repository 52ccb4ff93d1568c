"""The daily run is killed, fails or is interrupted, at each of its calls in turn, in an imagined world.

A run makes some 85 to 100 calls to the outside, always in the same order, so none is tried by chance. The next run may
find the receiver as a death left it, or one that its dead-man has switched off meanwhile, with the pool open.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests import sweep
from tests.fakes.day import Controller, Cut, Day
from tests.fakes.fuse import Moment
from tests.unit.runs.days import (
    FIRST_DAY,
    LOCKING,
    NEXT_DAY,
    STOPPING,
    deaths_of,
    ended,
    machine_of,
    require_complete,
    require_rest,
    runs_of,
    stage_of,
)

from ec2zfs.errors import CommandFailed, CredentialsError, HostError, PoolUnwell
from ec2zfs.model.instance import Market
from ec2zfs.runs.backup import PRUNE_COPIES

# of a death: the market, and whether the next run finds the machine off
DEATHS = {
    "found as it was": (Market.ON_DEMAND, False),
    "switched off with the pool open": (Market.ON_DEMAND, True),
    "spot, found as it was": (Market.SPOT, False),
    "spot, gone with the pool open": (Market.SPOT, True),
}


@pytest.mark.parametrize("case", DEATHS)
def test_killed_at_any_call_and_run_again_it_ends_as_if_nothing_had_been(case: str) -> None:
    market, off = DEATHS[case]
    for death in deaths_of(Day(market), at_least=15):
        day = death.world
        before = day.histories()
        if off:
            day.dead_man_fires()
        Controller(day).back_up(NEXT_DAY)
        require_complete(day)
        assert all(snaps[: len(before[name])] == before[name] for name, snaps in day.histories().items())


Failure = Callable[[str], BaseException]


def refused(name: str) -> BaseException:
    return CredentialsError(f"IAM does not allow {name}")


def lost(name: str) -> BaseException:
    return HostError(f"{name}: the connection is lost")


def failed(name: str) -> BaseException:
    return CommandFailed(name, ("a", "command"), 1, "I/O error")


# the market, and what fails: calls of these kinds fail so; at last whether the receiver is dead from then on
FAILURES: dict[str, tuple[Market, dict[str, Failure], bool]] = {
    "EC2 refuses, on demand": (Market.ON_DEMAND, {"ec2": refused, "address": refused}, False),
    "EC2 refuses, spot": (Market.SPOT, {"ec2": refused, "address": refused}, False),
    "a connection is lost": (Market.ON_DEMAND, dict.fromkeys(("site:", "receiver:", "stream:", "probe"), lost), False),
    "a command fails": (Market.SPOT, dict.fromkeys(("site:", "receiver:", "stream:", "probe"), failed), False),
    "the receiver dies, on demand": (Market.ON_DEMAND, {"receiver:": lost, "stream:": lost}, True),
    "the receiver dies, spot": (Market.SPOT, {"receiver:": lost, "stream:": lost}, True),
}
# a receiver that is gone while copies are given properties is warned of, and an error of whoever needs it next
WARNED_OF = ("replicate", "receiver: zfs_set.sh")
# what replication gets over: it connects, looks and plans again, or it was about a cursor, a hold or a property only;
# streams go through ssh when the direct way cannot be opened, and what cannot be closed is closed with the group
PORTS = {("replicate", "ec2 group.admit"), ("replicate", "ec2 group.expel")}
GOT_OVER = {
    "EC2 refuses, on demand": PORTS,
    "EC2 refuses, spot": PORTS,
    "a command fails": {
        ("replicate", "probe"),
        ("replicate", "stream: half way"),
        ("replicate", "stream: after"),
        ("replicate", "site: zfs_marks.sh"),
        ("replicate", "site: zfs_hold.sh"),
        WARNED_OF,
    },
    "a connection is lost": {
        ("replicate", "probe"),
        ("replicate", "stream: before"),
        ("replicate", "stream: half way"),
        ("replicate", "stream: after"),
        ("replicate", "site: zfs_hold.sh"),
        WARNED_OF,
    },
}


@pytest.mark.parametrize("kind", FAILURES)
def test_a_failure_at_any_call_is_what_is_told_and_nothing_stays_up(kind: str) -> None:
    market, failures, dies = FAILURES[kind]
    got_over = set[tuple[str, str]]()
    for day, controller in runs_of(Day(market), Cut, only=failures):
        cut = controller.cut
        cut.failure = failing_as(failures, day, dies=dies)
        error = ended(controller)
        assert error is None or caused_by(error, cut.raised) or cut.calls[cut.call - 1] == WARNED_OF, error
        if error is None:
            got_over.add(cut.calls[cut.call - 1])
        stage = stage_of(controller)
        if stage != STOPPING:
            require_rest(day)
        if cut.calls[cut.call - 1] != (STOPPING, "ec2 group.close"):
            assert day.group.rules == ()
        could_not_be_locked = stage == LOCKING or (dies and stage in ("replicate", PRUNE_COPIES, "check"))
        assert machine_of(day).left_open == could_not_be_locked, stage
        Controller(day).back_up(NEXT_DAY)
        require_complete(day)
    sweep.require_seen({kind: got_over}, {kind: GOT_OVER.get(kind, set())})


def failing_as(failures: dict[str, Failure], day: Day, *, dies: bool) -> Failure:
    def fail(name: str) -> BaseException:
        day.dead = dies
        return failures[name.split(maxsplit=1)[0]](name)

    return fail


def caused_by(raised: BaseException | None, failure: BaseException | None) -> bool:
    """Whether the failure is what was raised, or what that names as its cause."""
    while raised is not None and raised is not failure:
        raised = raised.__cause__
    return raised is not None


@pytest.mark.parametrize(("market", "moment"), [(Market.ON_DEMAND, Moment.BEFORE), (Market.SPOT, Moment.AFTER)])
def test_an_interrupt_at_any_call_ends_the_run_in_good_order(market: Market, moment: Moment) -> None:
    for day, controller in runs_of(Day(market), lambda call: Cut(call, moment, KeyboardInterrupt)):
        with pytest.raises(KeyboardInterrupt) as raised:
            controller.back_up(FIRST_DAY)
        assert raised.value is controller.cut.raised
        require_rest(day)
        assert machine_of(day).left_open == 0, stage_of(controller)
        Controller(day).back_up(NEXT_DAY)
        require_complete(day)


def test_an_interrupt_while_a_failure_is_cleaned_up_after_does_not_cut_that_short() -> None:
    degraded, tried = Day(), 0
    machine_of(degraded).health = "DEGRADED"
    with sweep.all_places():  # the cleaning up is a small part of the run
        runs = [*runs_of(degraded, lambda call: Cut(call, failure=KeyboardInterrupt))]
    for day, controller in runs:
        with pytest.raises((KeyboardInterrupt, PoolUnwell)) as raised:
            controller.back_up(FIRST_DAY)
        if stage_of(controller) in (LOCKING, STOPPING):
            tried += 1
            assert isinstance(raised.value, KeyboardInterrupt)
            assert isinstance(raised.value.__context__, PoolUnwell), "what had failed before can still be seen"
            require_complete(day)
            assert machine_of(day).left_open == 0
    assert tried == 5
