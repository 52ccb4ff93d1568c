"""To whom a message says it is encrypted, byte by byte, and that no bytes whatever upset the reader."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import sweep

from ec2zfs.encryption.packets import EncryptedKey, encrypted_keys

_KEY = bytes.fromhex("0123456789abcdef")
_BODY = b"\x03" + _KEY + b"\x12rest"
_FOUND = EncryptedKey(3, "0123456789ABCDEF")


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (b"\xc1\x0e" + _BODY, [_FOUND]),
        (b"\x84\x0e" + _BODY, [_FOUND]),
        (b"\x85\x00\x0e" + _BODY, [_FOUND]),
        (b"\x86\x00\x00\x00\x0e" + _BODY, [_FOUND]),
        (b"\xc1\xff\x00\x00\x00\x0e" + _BODY, [_FOUND]),
        (b"\xc1\xc0\x08" + _BODY + bytes(200 - len(_BODY)), [_FOUND]),
        (b"\xc1\x0e" + _BODY + b"\x84\x0e" + _BODY + b"\xd2\x10", [_FOUND, _FOUND]),
        (b"\xc1\x0e\x06" + _BODY[1:], [EncryptedKey(6, "")]),
        (b"\xc1\x0e" + _BODY[:8], []),
        (b"\x87" + _BODY, []),
        (b"\xcb\x0e" + _BODY, []),
        (b"-----BEGIN PGP MESSAGE-----", []),
        (b"", []),
    ],
)
def test_encrypted_keys(head: bytes, found: list[EncryptedKey]) -> None:
    assert encrypted_keys(head) == tuple(found)


@settings(max_examples=sweep.examples(50), deadline=None)
@given(st.binary(max_size=80))
def test_no_bytes_upset_it(head: bytes) -> None:
    assert len(encrypted_keys(b"\xc1\x0e" + _BODY + head)) >= 1
    assert len(encrypted_keys(head)) <= len(head)
