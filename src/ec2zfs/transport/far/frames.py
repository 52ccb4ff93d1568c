"""The sealed frame: how it looks, how it is sealed and opened, and what is refused before anything is read.

A frame is a header (kind u8, length u32, sequence u64, big endian), then as many bytes of AES-256-GCM ciphertext as
the header says, then the tag of 16 bytes. The nonce is four zero bytes and the sequence; the header is associated data.
A `Sealer` counts the sequence itself, so no nonce is ever used twice under its key.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HEADER = struct.Struct(">BIQ")
TAG_BYTES = 16
OVERHEAD = HEADER.size + TAG_BYTES
LONGEST_DATA = 4 << 20
LONGEST_TEXT = 1024
FRAMES_PER_KEY = 1 << 32
"""Far below what would weaken AES-GCM with nonces that are counted; 1 PiB of stream in frames of 256 KiB."""

_INTO = hasattr(AESGCM, "encrypt_into")  # cryptography 46 and later; before, a frame costs one copy more


class Kind(IntEnum):
    """What a frame is. DATA and END belong to the stream; all others to the connection that they come on."""

    DATA = 1
    END = 2
    HEARTBEAT = 3
    ACK = 4
    ABORT = 5
    DONE = 6
    FAIL = 7
    BYE = 8


OF_STREAM = frozenset({Kind.DATA, Kind.END})
FROM_SENDER = OF_STREAM | {Kind.HEARTBEAT, Kind.ABORT, Kind.BYE}
FROM_RECEIVER = frozenset({Kind.ACK, Kind.DONE, Kind.FAIL})

_EXACT = {Kind.END: 8, Kind.HEARTBEAT: 2, Kind.ACK: 16, Kind.DONE: 0, Kind.BYE: 0}

TOTAL = struct.Struct(">Q")
"""END: the length of the whole stream in bytes."""
FLOWS = struct.Struct(">H")
"""HEARTBEAT: how many connections the sender wants."""
STAND = struct.Struct(">QQ")
"""ACK: all frames below the first number have come; frames below the second may be sent."""


class FrameError(Exception):
    """A frame that is malformed, was changed on its way, or does not belong where it came."""


@dataclass(frozen=True)
class Header:
    """`length` is that of the plaintext, in bytes."""

    kind: Kind
    length: int
    sequence: int

    @property
    def sealed(self) -> int:
        """How many bytes follow the header."""
        return self.length + TAG_BYTES

    def packed(self) -> bytes:
        """As it travels."""
        return HEADER.pack(self.kind, self.length, self.sequence)


def parsed(head: bytes, expected: frozenset[Kind], longest: int) -> Header:
    """Read a header of `HEADER.size` bytes; raises `FrameError` unless such a frame may come here.

    `longest`: how many bytes a DATA frame may hold. It has not been authenticated yet: that comes with opening.
    """
    number, length, sequence = HEADER.unpack(head)
    if number not in expected:
        raise FrameError(f"a frame of kind {number} came, which does not belong here")
    kind = Kind(number)
    if not _fits(kind, length, longest):
        raise FrameError(f"a {kind.name} frame of {length} bytes came, which none may have")
    if sequence >= FRAMES_PER_KEY:
        raise FrameError(f"a frame with the number {sequence} came, beyond the last that a key may seal")
    return Header(kind, length, sequence)


def _fits(kind: Kind, length: int, longest: int) -> bool:
    if kind in _EXACT:
        return length == _EXACT[kind]
    return 0 < length <= longest if kind is Kind.DATA else length <= LONGEST_TEXT


class Sealer:
    """Seals frames under one key, counted from 0. Not for several threads at a time."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self.sequence = 0

    def seal(self, kind: Kind, payload: memoryview, into: memoryview) -> int:
        """Write the next frame to the beginning of `into`; returns its size in bytes.

        Raises `FrameError` when the key has sealed all frames that it may.
        """
        if self.sequence >= FRAMES_PER_KEY:
            raise FrameError(f"the key of this transfer has sealed all {FRAMES_PER_KEY} frames that it may")
        header = Header(kind, len(payload), self.sequence)
        self.sequence += 1
        head, end = header.packed(), HEADER.size + header.sealed
        into[: HEADER.size] = head
        if _INTO:
            self._cipher.encrypt_into(_nonce(header), payload, head, into[HEADER.size : end])
        else:
            into[HEADER.size : end] = self._cipher.encrypt(_nonce(header), bytes(payload), head)
        return end

    def sealed(self, kind: Kind, payload: bytes = b"") -> bytes:
        """The next frame, for one that is small."""
        room = bytearray(OVERHEAD + len(payload))
        self.seal(kind, memoryview(payload), memoryview(room))
        return bytes(room)


class Opener:
    """Opens frames that were sealed under one key. Safe for several threads at a time."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def open(self, header: Header, sealed: memoryview, into: memoryview) -> None:
        """Write the plaintext to `into`, which is as long as it. Raises `FrameError` for a frame that was changed."""
        try:
            if _INTO:
                self._cipher.decrypt_into(_nonce(header), sealed, header.packed(), into)
            else:
                into[:] = self._cipher.decrypt(_nonce(header), bytes(sealed), header.packed())
        except InvalidTag:
            raise FrameError(f"{header.kind.name} frame {header.sequence} was changed on its way") from None


def _nonce(header: Header) -> bytes:
    return bytes(4) + header.sequence.to_bytes(8, "big")
