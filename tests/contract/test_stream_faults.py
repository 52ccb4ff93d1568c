"""What happens on the line to a stream: it arrives as it was, or both ends say why it did not."""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.contract.meddler import DATA, Cut, Meddling, kind
from tests.contract.processes import running, soon
from tests.contract.stream_ends import KIB, MIB, QUICK, Stream

from ec2zfs.transport.far.handshake import Handshake, Stranger
from ec2zfs.transport.far.verdict import Cause

DONE = (Cause.DONE, Cause.DONE)


def stream_of(folder: Path, size: int, meddling: Meddling) -> Stream:
    (folder / "in").write_bytes(os.urandom(size))
    return Stream(f"cat {folder}/in", f"cat >{folder}/out", meddling)


def require_whole(folder: Path) -> None:
    assert (folder / "out").read_bytes() == (folder / "in").read_bytes()


def cut_at_random(number: int, frame: bytes) -> Sequence[bytes]:
    draw = random.Random(f"{number} {frame[:32]!r}")
    if draw.random() < 0.1:
        raise Cut
    return (frame,)


def torn_in_the_middle(number: int, frame: bytes) -> Sequence[bytes]:
    if number < 8 and frame[12] % 16 == 5:
        return (frame[: len(frame) // 2], b"x" * 13)
    return (frame,)


def flipped(number: int, frame: bytes) -> Sequence[bytes]:
    if number < 12 and frame[12] % 8 == 3:
        place = random.Random(number).randrange(len(frame))
        return (frame[:place] + bytes([frame[place] ^ 1]) + frame[place + 1 :],)
    return (frame,)


def delayed(number: int, frame: bytes) -> Sequence[bytes]:
    time.sleep(0.02 * (number % 3))
    return (frame,)


class Reordered:
    """Of two data frames on a connection the second goes first."""

    def __init__(self) -> None:
        self._held: dict[int, bytes] = {}

    def __call__(self, number: int, frame: bytes) -> Sequence[bytes]:
        held = self._held.pop(number, None)
        if held is None and kind(frame) == DATA and frame[12] % 2:
            self._held[number] = frame
            return ()
        return (frame,) if held is None else (frame, held)


class Replayed:
    """Each data frame is followed by all that went before it on another connection, up to some."""

    def __init__(self) -> None:
        self._seen: list[tuple[int, bytes]] = []

    def __call__(self, number: int, frame: bytes) -> Sequence[bytes]:
        others = [old for seen, old in self._seen if seen != number][-3:]
        if kind(frame) == DATA:
            self._seen.append((number, frame))
        elif number >= 6:
            return (frame,)
        return (frame, *others, frame)


class ControlSwapped:
    """A connection's first frames of control go to the others as well."""

    def __init__(self) -> None:
        self._control: dict[int, bytes] = {}

    def __call__(self, number: int, frame: bytes) -> Sequence[bytes]:
        if kind(frame) == DATA:
            others = [old for seen, old in self._control.items() if seen != number]
            return (frame, *(others if number < 6 else ()))
        self._control.setdefault(number, frame)
        return (frame,)


class OneFreezes:
    """The first connection passes nothing on after its third frame."""

    def __init__(self) -> None:
        self._passed = 0
        self._over = threading.Event()

    def __call__(self, number: int, frame: bytes) -> Sequence[bytes]:
        if number == 0:
            self._passed += 1
            if self._passed > 3:
                self._over.wait(20)
                raise Cut
        return (frame,)


@pytest.mark.parametrize(
    ("meddling", "loses"),
    [
        (cut_at_random, True),
        (torn_in_the_middle, True),
        (flipped, True),
        (delayed, False),
        (Reordered(), False),
        (Replayed(), True),  # a second END is dropped; a second frame of control ends its connection
        (ControlSwapped(), True),
        (OneFreezes(), False),  # what it had may have been sent again before its loss is noticed
    ],
    ids=["cut", "torn", "flipped", "delayed", "reordered", "replayed", "control swapped", "one freezes"],
)
def test_the_stream_arrives_as_it_was(tmp_path: Path, meddling: Meddling, loses: bool) -> None:
    stream = stream_of(tmp_path, 5 * MIB + 77, meddling)
    assert stream.run() == DONE
    require_whole(tmp_path)
    assert stream.receiver.heard.of("lost") or not loses


def test_what_is_always_changed_is_never_delivered(tmp_path: Path) -> None:
    def changed(_: int, frame: bytes) -> Sequence[bytes]:
        return (frame[:-1] + bytes([frame[-1] ^ 1]),)

    stream = stream_of(tmp_path, 300 * KIB, changed)
    stream.sender.orders = replace(stream.sender.orders, patience=0.3)
    stream.receiver.orders = replace(stream.receiver.orders, patience=1.0)
    assert stream.run() == (Cause.LINE, Cause.LINE)
    assert not (tmp_path / "out").exists() or (tmp_path / "out").read_bytes() == b""


def test_a_line_that_freezes_ends_both(tmp_path: Path) -> None:
    over = threading.Event()

    def frozen(_: int, frame: bytes) -> Sequence[bytes]:
        if frame[12] > 20:
            over.wait(20)
            raise Cut
        return (frame,)

    orders = replace(QUICK, silence=0.4, patience=0.3)
    stream = Stream("cat /dev/zero", "cat >/dev/null; sleep 71.25", frozen, orders)
    assert stream.run()[0] is Cause.LINE
    over.set()
    assert soon(lambda: not running("sleep", "71.25"))


def test_what_trickles_without_a_lull_arrives_meanwhile(tmp_path: Path) -> None:
    out = tmp_path / "out"
    stream = Stream(f"while ! test -e {tmp_path}/over; do echo drop; sleep 0.05; done", f"cat >{out}")

    def wait(_: Stream) -> None:
        arrived = soon(lambda: out.exists() and out.stat().st_size > 0)
        (tmp_path / "over").touch()
        assert arrived

    assert stream.run(wait) == DONE


def test_strangers_are_refused_and_disturb_nobody(tmp_path: Path) -> None:
    knocked = f"while [ ! -e {tmp_path}/knocked ]; do sleep 0.05; done"
    stream = Stream(f"head -c 200000 /dev/zero; {knocked}; head -c 200000 /dev/zero", f"cat >{tmp_path}/out")

    def knock(stream: Stream) -> None:
        at = ("127.0.0.1", stream.port)
        with socket.create_connection(at) as scanner:
            scanner.sendall(b"GET / HTTP/1.1\r\nHost: a-port-scanner\r\n\r\n".ljust(64))
            assert len(scanner.recv(100)) == 40
            assert scanner.recv(100) == b""
        with socket.create_connection(at) as stranger, pytest.raises((Stranger, ConnectionError)):
            Handshake(os.urandom(32), 5.0).as_connector(stranger)
        silent = [socket.create_connection(at) for _ in range(20)]
        heard = stream.receiver.heard
        told = soon(lambda: len(heard.of("refused")) == 2 and len(heard.of("departed")) >= 20 - 8)
        for one in silent:
            one.close()
        (tmp_path / "knocked").touch()
        assert told

    assert stream.run(knock) == DONE
    assert (tmp_path / "out").stat().st_size == 400000
    why = [str(refused["why"]) for refused in stream.receiver.heard.of("refused")]
    assert sum("does not know the secret" in one for one in why) == 2


LIMITS = [
    ("the writer gives nothing", "sleep 72.25", "cat", {"giving": 0.3}, (Cause.GAVE_NOTHING, Cause.PEER)),
    ("the reader takes nothing", "cat /dev/zero", "sleep 72.25", {"taking": 0.3}, (Cause.PEER, Cause.TOOK_NOTHING)),
    ("the reader does not end", "true", "cat; sleep 72.25", {"giving": 0.3}, (Cause.PEER, Cause.GAVE_NOTHING)),
    ("the writer does not end", "exec >&-; sleep 72.25", "cat", {"giving": 0.3}, (Cause.GAVE_NOTHING, Cause.PEER)),
    ("the writer fails", "echo x; exit 3", "cat", {}, (Cause.COMMAND, Cause.PEER)),
    ("the reader fails", "cat /dev/zero", "exit 3", {}, (Cause.PEER, Cause.COMMAND)),
    ("the reader is content", "cat /dev/zero", "true", {}, (Cause.PEER, Cause.EARLY)),
]


@pytest.mark.parametrize(
    ("sending", "receiving", "limits", "causes"), [case[1:] for case in LIMITS], ids=[case[0] for case in LIMITS]
)
def test_both_ends_say_why(sending: str, receiving: str, limits: dict[str, float], causes: tuple[Cause, Cause]) -> None:
    assert Stream(sending, receiving, orders=replace(QUICK, **limits)).run() == causes  # type: ignore[arg-type]
    assert soon(lambda: not running("sleep", "72.25"))


def test_no_stream_lasts_longer_than_it_may() -> None:
    causes = Stream("sleep 73.25", "cat", orders=replace(QUICK, whole=0.3)).run()
    assert Cause.LIMIT in causes
    assert set(causes) <= {Cause.LIMIT, Cause.PEER}
    assert soon(lambda: not running("sleep", "73.25"))


@pytest.mark.parametrize("side", ["sender", "receiver"])
def test_an_end_without_its_controller_ends_and_tells_the_other(side: str, tmp_path: Path) -> None:
    def orphan(stream: Stream) -> None:
        assert soon(lambda: bool(running("sleep", "74.25")))
        (stream.sender if side == "sender" else stream.receiver).orphan()

    stream = Stream("echo some; sleep 74.25", f"cat; touch {tmp_path}/whole")
    causes = stream.run(orphan)
    assert sorted(cause.value for cause in causes) == ["orphan", "peer"]
    assert soon(lambda: not running("sleep", "74.25"))
    assert not (tmp_path / "whole").exists()


def test_a_rate_is_kept_and_changed_while_it_runs(tmp_path: Path) -> None:
    begun = time.monotonic()

    def faster(stream: Stream) -> None:
        assert soon(lambda: stream.meddler is not None and stream.meddler.frames >= 5)
        time.sleep(0.5)
        stream.sender.order(b'{"rate": null}\n')

    stream = stream_of(tmp_path, 2 * MIB, lambda _, frame: (frame,))
    stream.sender.orders = replace(stream.sender.orders, rate=100.0 * KIB)
    assert stream.run(faster) == DONE
    require_whole(tmp_path)
    assert 0.5 < time.monotonic() - begun < 15
