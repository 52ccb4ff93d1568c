"""A rate is kept, over any time, and follows changes at once."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from tests import sweep

from ec2zfs.hosts.throttle import Throttle, unlimited


class Clock:
    """A clock that is set by hand, in seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_without_a_limit_all_may_pass_at_once() -> None:
    throttle = Throttle(unlimited)
    throttle.passed(1 << 40)
    assert (throttle.wait(), throttle.turn(1 << 20)) == (0.0, 1 << 20)


@settings(max_examples=sweep.examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(some.lists(some.tuples(some.floats(1e5, 1e9), some.integers(1, 1 << 20)), min_size=1, max_size=20))
def test_no_more_passes_than_the_rate_allows_whatever_it_changes_to(turns: list[tuple[float, int]]) -> None:
    clock, allowed, passed, largest = Clock(), 0.0, 0, 0
    rate = turns[0][0]
    throttle = Throttle(lambda: rate, clock)
    for rate, wanted in turns:
        waited = throttle.wait()
        clock.now += waited
        allowed += waited * rate
        assert throttle.wait() < 1e-6
        size = min(wanted, throttle.turn(1 << 20))
        throttle.passed(size)
        passed, largest = passed + size, max(largest, size)
    assert passed <= allowed + 1.001 * largest + 1


def test_a_pause_is_not_made_up_for() -> None:
    clock = Clock()
    throttle = Throttle(lambda: 1e6, clock)
    clock.now = 100.0
    assert throttle.wait() == 0
    throttle.passed(100_000)
    assert abs(throttle.wait() - 0.1) < 1e-9


def test_a_limit_that_is_lifted_frees_what_waits() -> None:
    clock, rate = Clock(), [1e5]
    throttle = Throttle(lambda: rate[0], clock)
    throttle.passed(1_000_000)
    assert round(throttle.wait()) == 10
    rate[0] = 1e6
    assert round(throttle.wait()) == 1
