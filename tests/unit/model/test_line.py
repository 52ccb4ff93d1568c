"""Which side of a stream holds it up, and several lines as one."""

from __future__ import annotations

import pytest

from ec2zfs.model.line import Bottleneck, Line, together

MIB = 1 << 20


@pytest.mark.parametrize(
    ("sender", "receiver", "limit", "bottleneck"),
    [
        (0.0, 0.0, None, Bottleneck.SOURCE),
        (0.4, 0.4, MIB, Bottleneck.SOURCE),
        (1.0, 0.0, None, Bottleneck.LINE),
        (1.0, 0.1, MIB, Bottleneck.LIMIT),
        (1.0, 1.0, None, Bottleneck.RECEIVER),
        (0.0, 0.9, MIB, Bottleneck.RECEIVER),
    ],
)
def test_the_bottleneck_comes_after_the_last_full_buffer(
    sender: float, receiver: float, limit: float | None, bottleneck: Bottleneck
) -> None:
    assert Line(4, 0, sender, receiver, limit).bottleneck is bottleneck


def test_lines_are_added_up_and_their_buffers_averaged() -> None:
    lines = [Line(4, 10, 1.0, 0.0, 2.0 * MIB), Line(8, 1, 0.5, 0.2, 3.0 * MIB)]
    assert together(lines) == Line(12, 11, 0.75, 0.1, 5.0 * MIB)
    assert together([Line(1, 0, 0.0, 0.0)]).limit is None
