"""What the sender holds: bounded, in order, and what a lost connection had goes to the front again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from ec2zfs.transport.far import outbox
from ec2zfs.transport.far.outbox import Outbox


def filled(frames: int, limit: int = 100, capacity: int = 10) -> Outbox:
    box = Outbox(capacity, 8)
    for number in range(frames):
        put(box, number)
    assert box.acknowledged(0, limit)
    return box


def put(box: Outbox, number: int) -> None:
    room = box.room()
    assert room is not None
    room[:1] = bytes([number])
    box.put(room, 1)


def taken(box: Outbox, carrier: str, frames: int = 100) -> list[int]:
    """The numbers of what a connection takes and sends until there is nothing for it."""
    numbers: list[int] = []
    while len(numbers) < frames and (parcel := box.take(carrier, 0)) is not None:
        numbers.append(parcel.sequence)
        assert bytes(parcel.frame) == bytes([parcel.sequence])
        box.sent(parcel)
    return numbers


def test_each_connection_takes_the_next() -> None:
    box = filled(5)
    assert [taken(box, "a", 1), taken(box, "b", 2), taken(box, "a")] == [[0], [1, 2], [3, 4]]


def test_nothing_is_sent_beyond_what_the_receiver_has_room_for() -> None:
    box = filled(5, limit=2)
    slow = []
    assert taken(box, "a") == [0, 1]
    slow.append(box.line_is_slow)
    assert box.acknowledged(1, 4)
    slow.append(box.line_is_slow)
    assert taken(box, "a") == [2, 3]
    assert slow == [False, True]


def test_what_a_lost_connection_had_is_sent_first_and_in_order() -> None:
    box = filled(6)
    assert taken(box, "a", 2) + taken(box, "b", 1) + taken(box, "a", 1) == [0, 1, 2, 3]
    assert box.acknowledged(1, 100)
    box.lost("a")
    assert taken(box, "b") == [1, 3, 4, 5]
    box.lost("a")
    assert taken(box, "b") == []


def test_a_frame_that_all_wait_for_is_sent_once_more_by_an_idle_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    box = filled(2)
    assert taken(box, "slow") == [0, 1]
    assert taken(box, "idle") == []
    monkeypatch.setattr(outbox, "_CRAWLS_SECONDS", -1.0)
    assert taken(box, "idle", 1) == [0]
    assert taken(box, "slow") == []
    box.lost("slow")
    assert taken(box, "slow") == [1, 0]  # 0 as one that all wait for


@pytest.mark.parametrize(("limit", "after", "second"), [(8, -1.0, [0, 5]), (20, -1.0, [5, 6]), (8, 60.0, [5, 6])])
def test_a_frame_that_holds_up_half_the_room_is_sent_once_more_by_any(
    monkeypatch: pytest.MonkeyPatch, limit: int, after: float, second: list[int]
) -> None:
    monkeypatch.setattr(outbox, "_BLOCKS_SECONDS", after)
    box = filled(8, limit)
    assert taken(box, "slow", 1) == [0]
    assert taken(box, "fast", 4) == [1, 2, 3, 4]
    assert taken(box, "other", 2) == second


def test_all_who_wait_are_woken_when_there_is_enough_for_all() -> None:
    box = filled(2, limit=0)
    with ThreadPoolExecutor(4) as pool:
        parcels = [pool.submit(box.take, name, 60) for name in "abcd"]
        assert box.acknowledged(0, 3)
        put(box, 2)
        put(box, 3)
        assert box.acknowledged(0, 9)
        found = [parcel.result(5) for parcel in parcels]
        assert sorted(parcel.sequence for parcel in found if parcel is not None) == [0, 1, 2, 3]


def test_room_that_becomes_free_goes_to_who_waits() -> None:
    box = filled(1, capacity=1)
    with ThreadPoolExecutor(1) as pool:
        room = pool.submit(box.room)
        assert taken(box, "a") == [0]
        assert box.acknowledged(1, 9)
        assert room.result(5) is not None


def test_a_buffer_is_used_again_only_when_nobody_sends_it() -> None:
    box = filled(2, capacity=2)
    first, second = box.take("a", 0), box.take("b", 0)
    assert first is not None
    assert second is not None
    assert box.acknowledged(2, 100)
    box.sent(second)
    assert box.room() is second.room
    box.sent(first)
    assert box.room() is first.room


@pytest.mark.parametrize(("received", "limit"), [(3, 100), (1, 0)])
def test_what_cannot_have_come_is_not_believed(received: int, limit: int) -> None:
    box = filled(5)
    assert taken(box, "a", 2) == [0, 1]
    assert not box.acknowledged(received, limit)


def test_old_acknowledgements_change_nothing() -> None:
    box = filled(5)
    taken(box, "a")
    assert box.acknowledged(4, 50)
    assert box.acknowledged(2, 40)
    assert (box.received, box.held) == (4, 1)


def test_a_closed_box_lets_all_go() -> None:
    box = filled(2, capacity=2)
    box.close()
    assert box.room() is None
    assert box.take("a", 60) is None


def test_only_a_line_that_could_carry_is_stalled() -> None:
    box = filled(2, limit=1)
    assert box.stalled == 0
    taken(box, "a")
    assert box.stalled > 0
    assert box.acknowledged(1, 1)
    assert box.stalled == 0
