"""One connection: whatever comes on it is a frame of the other side, or ends it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import sweep

from ec2zfs.transport.far.connection import Connection, prepare
from ec2zfs.transport.far.frames import HEADER, FrameError, Kind, Sealer
from ec2zfs.transport.far.keys import ControlKeys, TransferKeys

KEYS = TransferKeys(bytes(32))
CONTROL = KEYS.control(bytes(64))
FRAME = 4096


@contextmanager
def receiving(keys: ControlKeys = CONTROL, silence: float = 5.0) -> Iterator[tuple[Connection, socket.socket]]:
    """A receiver's connection and the socket at its other side."""
    near, far = socket.socketpair()
    connection = Connection(near, keys, sends=False, frame=FRAME, silence=silence)
    with far:
        yield connection, far
    connection.release()


def said(*frames: bytes) -> list[tuple[Kind, bytes]]:
    """What a receiver reads before something is refused; the far side closes after these bytes."""
    heard = []
    with receiving() as (connection, far):
        far.sendall(b"".join(frames))
        far.shutdown(socket.SHUT_WR)
        try:
            while True:
                header, payload = connection.read()
                heard.append((header.kind, bytes(payload)))
        except (FrameError, ConnectionResetError):
            return heard


def heartbeats(count: int) -> list[bytes]:
    sealer = Sealer(CONTROL.from_sender)
    return [sealer.sealed(Kind.HEARTBEAT, bytes([0, number])) for number in range(count)]


def test_control_frames_are_heard_in_their_order() -> None:
    assert said(*heartbeats(3)) == [(Kind.HEARTBEAT, bytes([0, number])) for number in range(3)]


@pytest.mark.parametrize("order", [(0, 0), (0, 2), (1,)], ids=["repeated", "one left out", "not from the first"])
def test_control_frames_out_of_order_end_the_connection(order: tuple[int, ...]) -> None:
    frames = heartbeats(3)
    expected = 1 if order[0] == 0 else 0
    assert len(said(*(frames[number] for number in order))) == expected


def test_control_of_another_connection_or_direction_is_refused() -> None:
    other = KEYS.control(bytes(63) + b"\1")
    for key in (other.from_sender, CONTROL.from_receiver, KEYS.data):
        assert said(Sealer(key).sealed(Kind.HEARTBEAT, bytes(2))) == []


def test_a_frame_of_the_stream_is_handed_on_sealed() -> None:
    frame = Sealer(KEYS.data).sealed(Kind.DATA, b"some")
    assert said(frame) == [(Kind.DATA, frame[HEADER.size :])]


@settings(max_examples=sweep.examples(60), deadline=None, derandomize=True)
@given(st.lists(st.one_of(st.binary(max_size=64), st.sampled_from(heartbeats(2))), max_size=6))
def test_any_bytes_are_frames_or_refused(parts: list[bytes]) -> None:
    heard = said(*parts)
    assert all(kind in {Kind.HEARTBEAT, Kind.DATA, Kind.END} for kind, _ in heard)
    assert [payload for kind, payload in heard if kind is Kind.HEARTBEAT] in [[], [b"\0\0"], [b"\0\0", b"\0\1"]]


def test_a_silence_is_noticed() -> None:
    with receiving(silence=0.2) as (connection, _), pytest.raises(TimeoutError, match=r"silent for 0\.2 s"):
        connection.read()


def test_who_does_not_read_is_noticed() -> None:
    with receiving(silence=0.2) as (connection, _), pytest.raises(TimeoutError):
        connection.send(memoryview(bytes(64 << 20)))


@pytest.mark.parametrize(("control", "finds"), [("reno", False), ("bbr", True)])
def test_what_measures_the_line_is_told_from_what_losses_slow(control: str, finds: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as end:
        prepare(end, control)
        if control.encode() not in end.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16):
            pytest.skip(f"this kernel has no {control}")
        assert Connection(end, CONTROL, sends=True, frame=FRAME, silence=5.0).finds_its_rate is finds


def test_it_says_whether_more_has_come() -> None:
    with receiving() as (connection, far):
        seen = [connection.more]
        far.sendall(heartbeats(1)[0])
        seen.append(connection.more)
        connection.read()
        seen.append(connection.more)
    assert seen == [False, True, False]
