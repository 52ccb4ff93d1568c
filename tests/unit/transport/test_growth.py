"""More connections for as long as they carry more."""

from __future__ import annotations

import pytest

from ec2zfs.transport.far.growth import Growth

CASES = [
    ("each doubling carries more", (4, 32), [100, 180, 300, 500, 900], [8, 16, 32, 32, 32]),
    ("the line is full", (4, 32), [100, 105, 105, 105, 200], [8, 8, 8, 8, 8]),
    ("one poor measurement is no end", (4, 32), [100, 90, 105, 180], [8, 8, 8, 16]),
    ("the line loses, after a beginning that lost nothing", (4, 32), [900, 300, 350, 320, 330], [8, 8, 8, 8, 16]),
    ("a tenth more is enough", (4, 32), [100, 111, 121], [8, 16, 16]),
    ("the limit is no power of two", (4, 6), [100, 200], [6, 6]),
    ("a fixed number", (3, 3), [100, 200], [3, 3]),
]


@pytest.mark.parametrize(("bounds", "rates", "wanted"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_growth(bounds: tuple[int, int], rates: list[int], wanted: list[int]) -> None:
    growth = Growth(*bounds)
    seen = []
    for rate in rates:
        growth.measured(rate, line_is_slow=True)
        seen.append(growth.wanted)
    assert seen == wanted


def test_a_slow_command_is_no_measure_of_the_line() -> None:
    growth = Growth(4, 32)
    for _ in range(9):
        growth.measured(1, line_is_slow=False)
    assert growth.wanted == 4


def test_where_losses_slow_no_gain_is_asked_for() -> None:
    growth = Growth(4, 32)
    for _ in range(3):
        growth.measured(100, line_is_slow=True, losses_slow=True)
    assert growth.wanted == 32


def test_after_a_long_rest_it_is_tried_again() -> None:
    growth = Growth(4, 32)
    for _ in range(1 + 3 + 9):
        growth.measured(100, line_is_slow=True)
    assert growth.wanted == 8
    growth.measured(100, line_is_slow=True)
    assert growth.wanted == 16
