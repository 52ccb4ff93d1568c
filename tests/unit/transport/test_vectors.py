"""The construction against vectors that hashlib, hmac and a GCM of the tests' own made; docs/security.md shows them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.transport import gcm

from ec2zfs.transport.far.frames import STAND, TOTAL, Kind, Sealer
from ec2zfs.transport.far.handshake import proof
from ec2zfs.transport.far.keys import TransferKeys

SECRET = bytes(range(32))
NONCES = bytes(range(0x40, 0x80))
PURPOSE = b"ec2zfs stream 1: "

VECTORS = {
    "data key": "eba019b94c68905bc0ba6e6329417dce838c8f499d8b5b71cffeaed109901860",
    "proof key": "c0f237564222f98caa2024a81e1d13bdbf4a7d638878199ad5e572c042e7b633",
    "control key from the sender": "fad2ef85911eff8653258d1eeb38543a32cf4d5446de7943304f25219d7c8a08",
    "control key from the receiver": "272b63d3f99bdfb5b1149d026e36281b7952fe7d81e9d559ce9410382c674b25",
    "connecting end's proof": "fa6374d3cf2276d306c58c111c2473cbcfe3e0cd65fa6957bba306c0ea69d7a3",
    "listening end's proof": "703f96c12ebb81733589afb4d6162ae3cfea76cdaeb032bece0e7eabe3474743",
    'DATA 0, "stream"': "01000000060000000000000000b9cc75c18f1e3834611afd1ada381d3bfa5b23b1f8f2",
    "END 1, of 6 bytes": "020000000800000000000000012413c62ae87a4edd78bf82ec8f5947b1f8e4dbb9aff7cfa7",
    "ACK 0, 1 received, 97 allowed": "0400000010"
    "00000000000000007aa156d17aa521501f91ef7fb98a3987a5f1a02f1159b8caf8b85bba4fff5006",
}


def ours() -> Iterator[tuple[str, bytes]]:
    """What the product makes of the same inputs."""
    keys = TransferKeys(SECRET)
    control = keys.control(NONCES)
    yield "data key", keys.data
    yield "proof key", keys.proof
    yield "control key from the sender", control.from_sender
    yield "control key from the receiver", control.from_receiver
    yield "connecting end's proof", proof(keys.proof, b"connecting", NONCES)
    yield "listening end's proof", proof(keys.proof, b"listening", NONCES)
    data = Sealer(keys.data)
    yield 'DATA 0, "stream"', data.sealed(Kind.DATA, b"stream")
    yield "END 1, of 6 bytes", data.sealed(Kind.END, TOTAL.pack(6))
    yield "ACK 0, 1 received, 97 allowed", Sealer(control.from_receiver).sealed(Kind.ACK, STAND.pack(1, 97))


def test_every_vector_is_met() -> None:
    assert {name: value.hex() for name, value in ours()} == VECTORS


def test_the_page_on_security_shows_every_vector() -> None:
    page = Path("docs/security.md").read_text()
    shown = dict(re.findall(r"^\| (.+?) \| `([0-9a-f]{64,})` \|$", page, re.MULTILINE))
    assert shown == VECTORS


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("data key", b"data"),
        ("proof key", b"proof"),
        ("control key from the sender", b"control from the sender " + NONCES),
        ("control key from the receiver", b"control from the receiver " + NONCES),
    ],
)
def test_keys_are_hkdf_of_the_secret_and_a_label(name: str, label: bytes) -> None:
    assert gcm.hkdf(SECRET, PURPOSE + label).hex() == VECTORS[name]


@pytest.mark.parametrize(
    ("name", "key", "payload"),
    [
        ('DATA 0, "stream"', "data key", b"stream"),
        ("END 1, of 6 bytes", "data key", (6).to_bytes(8, "big")),
        (
            "ACK 0, 1 received, 97 allowed",
            "control key from the receiver",
            (1).to_bytes(8, "big") + (97).to_bytes(8, "big"),
        ),
    ],
)
def test_a_frame_is_gcm_with_the_header_as_associated_data(name: str, key: str, payload: bytes) -> None:
    frame = bytes.fromhex(VECTORS[name])
    head = frame[:13]
    assert head[1:5] == len(payload).to_bytes(4, "big")
    assert frame[13:] == gcm.sealed(bytes.fromhex(VECTORS[key]), bytes(4) + head[5:], payload, head)


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_secret_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        TransferKeys(bytes(size))


def test_control_keys_hang_on_both_nonces() -> None:
    keys = TransferKeys(SECRET)
    others = [keys.control(NONCES[:n] + b"\x00" + NONCES[n + 1 :]) for n in (0, 31, 32, 63)]
    everything = {key for one in (keys.control(NONCES), *others) for key in (one.from_sender, one.from_receiver)}
    assert len(everything | {keys.data, keys.proof}) == 12
