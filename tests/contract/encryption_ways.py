"""The ways in which a content can be encrypted and decrypted: each format's parts of ours, and the stock programs."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.contract.encryption_keys import Gnupg

from ec2zfs.encryption import formats
from ec2zfs.encryption.identities import Identity
from ec2zfs.encryption.interface import Decryptor, Encryptor, Recipients
from ec2zfs.encryption.streams import Sink, Source
from ec2zfs.hosts.secret import Secret

SMALL = 64 << 10
"""The threshold of these tests: content above it is streamed, through gpg in OpenPGP."""


@dataclass(frozen=True)
class Way:
    """A format with two recipients, the identities of both, and one that nothing was encrypted to."""

    recipients: Recipients
    first: Identity
    second: Identity
    stranger: Identity
    stock_encrypt: Callable[[bytes], bytes]
    stock_decrypt: Callable[[bytes], bytes]


def gpg_way(gnupg: Gnupg) -> tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]:
    """Stock gpg, with the keys of its home."""
    words = ("--recipient", "alice", "--recipient", "bob", "--encrypt")
    return lambda data: gnupg.gpg(*words, stdin=data), lambda data: gnupg.gpg("--decrypt", stdin=data)


def age_way(recipients: Recipients, identity: Secret) -> tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]:
    """Stock age."""
    keys = [word for key in recipients.keys for word in ("-r", key.key)]

    def decrypt(data: bytes) -> bytes:
        with tempfile.NamedTemporaryFile() as file:
            Path(file.name).write_bytes(identity.reveal())
            return _run(["age", "-d", "-i", file.name], data)

    return lambda data: _run(["age", *keys], data), decrypt


def _run(argv: list[str], data: bytes) -> bytes:
    return subprocess.run(argv, input=data, capture_output=True, check=True).stdout


def through(carry: Callable[[Source, Sink], None], data: bytes) -> bytes:
    """What comes out when these bytes go in."""
    with tempfile.TemporaryFile() as before, tempfile.TemporaryFile() as after:
        before.write(data)
        before.flush()
        os.lseek(before.fileno(), 0, os.SEEK_SET)
        sink = Sink(after.fileno(), "the result")
        carry(Source(before.fileno(), "the file"), sink)
        sink.flush()
        os.lseek(after.fileno(), 0, os.SEEK_SET)
        return after.read()


def encrypted(recipients: Recipients, data: bytes) -> bytes:
    """The ciphertext of these bytes."""
    encryptor: Encryptor
    with closing(formats.encryptor(recipients, SMALL)) as encryptor:
        return through(encryptor.encrypt, data)


def decrypted(identity: Identity, data: bytes) -> bytes:
    """The plaintext of these bytes."""
    decryptor: Decryptor
    with closing(formats.decryptor(identity, SMALL)) as decryptor:
        return through(decryptor.decrypt, data)
