"""The first packets of an OpenPGP message: to which keys it says it is encrypted. RFC 9580, sections 4.2 and 5.1.

Reads what anybody may read, and believes nothing: ids of keys can be changed by whoever can change the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

_ENCRYPTED_KEY = 1
_ID_BYTES = 8
READABLE = 3
"""The version of encrypted-key packets that every gpg reads."""


class EncryptedKey(NamedTuple):
    """A session key that one recipient can open: the packet's version and, of version 3, the key's id in hex."""

    version: int
    key_id: str


def encrypted_keys(head: bytes) -> tuple[EncryptedKey, ...]:
    """The encrypted-key packets with which a message begins, as far as `head` has them; none if it is no message.

    Binary messages only: whoever armours a file has made another one of it.
    """
    return tuple(_encrypted_keys(head))


def _encrypted_keys(head: bytes) -> Iterator[EncryptedKey]:
    at = 0
    while (packet := _packet(head, at)) is not None and packet[0] == _ENCRYPTED_KEY:
        _, begin, end = packet
        body = head[begin:end]
        if len(body) <= _ID_BYTES:
            return
        yield EncryptedKey(body[0], body[1 : 1 + _ID_BYTES].hex().upper() if body[0] == READABLE else "")
        at = end


def _packet(head: bytes, at: int) -> tuple[int, int, int] | None:
    """Tag, begin and end of the packet's body; None where no packet of a known length begins."""
    if at + 6 > len(head) or not head[at] & 0x80:
        return None
    if head[at] & 0x40:
        return _new_format(head, at)
    size = {0: 1, 1: 2, 2: 4}.get(head[at] & 3)
    if size is None:
        return None
    begin = at + 1 + size
    return head[at] >> 2 & 0xF, begin, begin + int.from_bytes(head[at + 1 : begin], "big")


def _new_format(head: bytes, at: int) -> tuple[int, int, int] | None:
    tag, first = head[at] & 0x3F, head[at + 1]
    if first < 192:
        return tag, at + 2, at + 2 + first
    if first < 224:
        return tag, at + 3, at + 3 + ((first - 192) << 8) + head[at + 2] + 192
    if first == 255:
        return tag, at + 6, at + 6 + int.from_bytes(head[at + 2 : at + 6], "big")
    return None
