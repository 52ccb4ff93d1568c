"""The choice of a seal, and that a host without `cryptography` can serve behind ssh."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ec2zfs.transport.bundle import BOOTSTRAP, program
from ec2zfs.transport.far.keys import TransferKeys
from ec2zfs.transport.far.orders import Orders, OrdersError, parsed
from ec2zfs.transport.far.seals import AES, BLAKE2B, BlakeKey

SECRET = bytes(range(32))
LISTENS = Orders(
    sends=False, listens=True, address="127.0.0.1", ports=(0, 0), secret=SECRET.hex(), argv=("cat",), seal=""
)


def test_keys_are_those_of_hkdf_as_cryptography_has_it() -> None:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"ec2zfs stream 1: data").derive(SECRET)
    assert TransferKeys(SECRET).data == derived


def test_a_seal_is_chosen_by_the_kind_of_the_key() -> None:
    keys = TransferKeys(SECRET, BLAKE2B)
    control = keys.control(bytes(64))
    assert {type(key) for key in (keys.data, control.from_sender, control.from_receiver)} == {BlakeKey}
    assert type(TransferKeys(SECRET, AES).data) is bytes


def test_where_there_is_a_choice_it_is_aes() -> None:
    assert parsed(json.dumps(asdict(LISTENS)).encode()).sealed_with == AES


def test_an_unknown_seal_is_no_order() -> None:
    with pytest.raises(OrdersError, match="unknown seal 'rot13'"):
        parsed(json.dumps(asdict(replace(LISTENS, seal="rot13"))).encode())


def test_a_host_without_cryptography_serves_by_blake2b_where_that_is_allowed() -> None:
    words = [sys.executable, "-I", "-S", "-c", BOOTSTRAP]
    given = program() + json.dumps(asdict(LISTENS)).encode() + b"\n"
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as end:
        assert end.stdin is not None
        assert end.stdout is not None
        end.stdin.write(given)
        end.stdin.flush()
        ready = json.loads(end.stdout.readline())
        end.stdin.close()
        assert (ready["event"], ready["seal"]) == ("ready", BLAKE2B)
