"""Frames: what is sealed opens again and nothing else does; what may not come is refused by its header alone."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import sweep

from ec2zfs.transport.far.frames import (
    FRAMES_PER_KEY,
    FROM_RECEIVER,
    FROM_SENDER,
    HEADER,
    LONGEST_TEXT,
    FrameError,
    Header,
    Kind,
    Opener,
    Sealer,
    parsed,
)
from ec2zfs.transport.far.seals import Aes, BlakeKey

KEY = bytes(range(32))
LONGEST = 1 << 20


def opened(frame: bytes, key: bytes = KEY, longest: int = LONGEST) -> tuple[Header, bytes]:
    header = parsed(frame[: HEADER.size], FROM_SENDER | FROM_RECEIVER, longest)
    sealed = frame[HEADER.size :]
    if len(sealed) != header.sealed:
        raise FrameError("cut")
    room = bytearray(header.length)
    Opener(key).open(header, memoryview(sealed), memoryview(room))
    return header, bytes(room)


@settings(max_examples=sweep.examples(30), deadline=None, derandomize=True)
@given(st.lists(st.binary(min_size=1, max_size=200), max_size=8))
def test_what_is_sealed_opens_and_bears_its_number(payloads: list[bytes]) -> None:
    sealer = Sealer(KEY)
    for number, payload in enumerate(payloads):
        header, plain = opened(sealer.sealed(Kind.DATA, payload))
        assert (header.kind, header.sequence, plain) == (Kind.DATA, number, payload)


@pytest.mark.parametrize("into", [True, False], ids=["cryptography 46 and later", "cryptography 38"])
def test_both_ways_of_sealing_make_the_same(into: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = Sealer(KEY).sealed(Kind.DATA, b"the same")
    monkeypatch.setattr(Aes, "in_place", into)
    assert Sealer(KEY).sealed(Kind.DATA, b"the same") == expected
    assert opened(expected)[1] == b"the same"
    with pytest.raises(FrameError, match="DATA frame 0 was changed"):
        opened(expected[:-1] + bytes([expected[-1] ^ 1]))


@pytest.mark.parametrize("key", [KEY, BlakeKey(KEY)], ids=["aes-256-gcm", "blake2b"])
@settings(deadline=None, derandomize=True)
@given(place=st.integers(min_value=0), change=st.integers(min_value=1, max_value=255))
def test_a_changed_byte_anywhere_is_noticed(key: bytes, place: int, change: int) -> None:
    frame = bytearray(Sealer(key).sealed(Kind.DATA, b"some of the stream"))
    frame[place % len(frame)] ^= change
    with pytest.raises(FrameError):
        opened(bytes(frame), key)


def test_without_cryptography_a_frame_is_plain_but_authenticated() -> None:
    """ssh encrypts there. The tag is keyed BLAKE2b over nonce, header and plaintext, as hashlib makes it."""
    frame = Sealer(BlakeKey(KEY)).sealed(Kind.DATA, b"some of the stream")
    head, plain = frame[: HEADER.size], b"some of the stream"
    assert frame == head + plain + hashlib.blake2b(bytes(12) + head + plain, digest_size=16, key=KEY).digest()
    assert opened(frame, BlakeKey(KEY))[1] == plain
    with pytest.raises(FrameError):
        opened(frame, KEY)


def test_another_key_opens_nothing() -> None:
    with pytest.raises(FrameError):
        opened(Sealer(KEY).sealed(Kind.DATA, b"x"), bytes(32))


@settings(max_examples=sweep.examples(300), deadline=None, derandomize=True)
@given(st.binary(min_size=HEADER.size, max_size=HEADER.size), st.booleans())
def test_any_header_is_either_refused_or_within_its_bounds(head: bytes, sends: bool) -> None:
    expected = FROM_RECEIVER if sends else FROM_SENDER
    try:
        header = parsed(head, expected, LONGEST)
    except FrameError:
        return
    assert header.kind in expected
    assert header.length <= (LONGEST if header.kind is Kind.DATA else LONGEST_TEXT)
    assert header.sequence < FRAMES_PER_KEY
    assert header.packed() == head


@settings(deadline=None, derandomize=True)
@given(st.binary(max_size=200))
def test_bytes_of_a_stranger_never_open(data: bytes) -> None:
    with pytest.raises(FrameError):
        opened(data.ljust(HEADER.size, b"\0"))


HEADERS = [
    ("kind 0", (0, 0, 0), "kind 0"),
    ("an unknown kind", (9, 0, 0), "kind 9"),
    ("what only the receiver says", (Kind.ACK, 16, 0), "kind 4"),
    ("no data", (Kind.DATA, 0, 0), "DATA frame of 0 bytes"),
    ("too much data", (Kind.DATA, LONGEST + 1, 0), "1048577 bytes"),
    ("four GiB", (Kind.DATA, 0xFFFFFFFF, 0), "4294967295 bytes"),
    ("an end without a length", (Kind.END, 0, 0), "END frame of 0"),
    ("a heartbeat that speaks", (Kind.HEARTBEAT, 3, 0), "HEARTBEAT frame of 3"),
    ("a long complaint", (Kind.ABORT, LONGEST_TEXT + 1, 0), "ABORT frame of 1025"),
    ("beyond the last number", (Kind.DATA, 1, FRAMES_PER_KEY), "beyond the last"),
]


@pytest.mark.parametrize(("numbers", "why"), [case[1:] for case in HEADERS], ids=[case[0] for case in HEADERS])
def test_a_header_that_may_not_come_is_refused(numbers: tuple[int, int, int], why: str) -> None:
    with pytest.raises(FrameError, match=why):
        parsed(HEADER.pack(*numbers), FROM_SENDER, LONGEST)


def test_a_key_seals_no_more_frames_than_it_may() -> None:
    sealer = Sealer(KEY)
    sealer.sequence = FRAMES_PER_KEY - 1
    sealer.sealed(Kind.DATA, b"the last")
    with pytest.raises(FrameError, match="all 4294967296 frames"):
        sealer.sealed(Kind.DATA, b"one more")
