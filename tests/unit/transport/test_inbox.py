"""What the receiver holds: whatever the order in which frames come, the command gets each once, in its place."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import sweep

from ec2zfs.transport.far.frames import FrameError, Header, Kind
from ec2zfs.transport.far.inbox import Inbox


def put(box: Inbox, number: int, kind: Kind = Kind.DATA) -> None:
    room = box.room()
    room[0] = number
    box.put(Header(kind, 1, number), room)


def given_out(box: Inbox, count: int) -> list[int]:
    numbers = []
    for _ in range(count):
        piece = box.take()
        assert piece is not None
        numbers.append(piece.data[0])
        box.taken(piece)
    return numbers


@settings(max_examples=sweep.examples(50), deadline=None, derandomize=True)
@given(st.permutations(range(12)), st.lists(st.integers(0, 11), max_size=20))
def test_any_order_and_any_repetition_gives_the_stream(order: list[int], again: list[int]) -> None:
    box = Inbox(12, 8)
    for number in [*order[:6], *again[:10], *order[6:], *again[10:]]:
        put(box, number)
    assert given_out(box, 12) == list(range(12))
    assert box.stand == (12, 24)
    assert box.held == 0


def test_frames_that_were_given_out_are_not_taken_again() -> None:
    box = Inbox(4, 8)
    put(box, 0)
    assert given_out(box, 1) == [0]
    put(box, 0)
    assert (box.stand, box.held) == ((1, 5), 0)


def test_a_gap_holds_all_after_it() -> None:
    box = Inbox(4, 8)
    put(box, 1)
    put(box, 2)
    assert box.stand == (0, 4)
    put(box, 0)
    assert box.stand == (3, 4)


def test_more_than_the_window_is_refused() -> None:
    box = Inbox(4, 8)
    with pytest.raises(FrameError, match="frame 4 came"):
        put(box, 4)


def test_nothing_comes_after_the_end() -> None:
    box = Inbox(4, 8)
    put(box, 1, Kind.END)
    with pytest.raises(FrameError, match="frame 2 came"):
        put(box, 2)


def test_a_closed_box_lets_its_reader_go() -> None:
    box = Inbox(4, 8)
    put(box, 0)
    box.close()
    assert box.take() is None
