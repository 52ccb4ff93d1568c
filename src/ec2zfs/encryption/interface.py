"""What encryption is to those who use it: contents go through an `Encryptor` or a `Decryptor`, whichever the format.

Two formats pass one contract suite, tests/contract/test_encryption.py: OpenPGP, readable by `gpg --decrypt`, and age,
readable by `age -d`. Nothing outside this folder asks which it is.
"""

from __future__ import annotations

import os
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ec2zfs.errors import Ec2zfsError

if TYPE_CHECKING:
    from datetime import datetime

    from ec2zfs.encryption.streams import Sink, Source


class Format(StrEnum):
    """A format of encrypted files; its value is also the customary ending of their names."""

    OPENPGP = "gpg"
    AGE = "age"


class Recipient(NamedTuple):
    """A public key that files are encrypted to.

    `key` is its text, without any secret; `name` is what its owner calls it, or the key itself. `addresses` is what a
    ciphertext says of it in clear: ids of OpenPGP subkeys, nothing in age. `expires`, if ever, is in UTC.
    """

    key: str
    name: str
    fingerprint: str
    addresses: frozenset[str]
    expires: datetime | None


class Recipients(NamedTuple):
    """All to whom a file is encrypted; each of them alone can decrypt it. Made by `judged` in recipients.py."""

    format: Format
    keys: tuple[Recipient, ...]


class Content(NamedTuple):
    """How many bytes something has, and their digest: see digests.py."""

    size: int
    digest: bytes


NOWHERE = os.devnull
"""The target of a task that is done for its digests alone: what it gives is written to no disk."""


class Task(NamedTuple):
    """A file to encrypt or decrypt, and what is to become of it. Names are any bytes, as `os.fsdecode` gives them.

    Without `replace` a target that stands already is left as it is, and the task fails; with it, it is replaced at once
    when the new one is whole. `NOWHERE` is none.
    """

    source: str
    target: str
    replace: bool = False


class Done(NamedTuple):
    """A task that came to its end: the target stands, whole. `read` is the source's content, `written` the target's."""

    task: Task
    read: Content
    written: Content


class Failed(NamedTuple):
    """A task that did not: nothing stands at the target that did not stand there before."""

    task: Task
    error: Ec2zfsError


class Encryptor(Protocol):
    """Encrypts one content after the other, to the same recipients, in bounded memory whatever their size."""

    def encrypt(self, source: Source, sink: Sink) -> None:
        """Encrypt all of `source`. What `sink` was given when this raises is no whole ciphertext, and to be dropped.

        Raises `RecipientRefused` when a key has expired meanwhile, `MissingTool`, and what `source` and `sink` raise.
        """
        ...

    def close(self) -> None:
        """Remove what it made for itself."""
        ...


class Decryptor(Protocol):
    """Decrypts one content after the other with the same identity, in bounded memory whatever their size."""

    def decrypt(self, source: Source, sink: Sink) -> None:
        """Decrypt all of `source`. What `sink` was given when this raises is not to be trusted, and to be dropped.

        Raises `WrongIdentity`, `Damaged`, `MissingTool`, and what `source` and `sink` raise. That a ciphertext is
        whole does not say who made it: anybody can encrypt to a public key.
        """
        ...

    def close(self) -> None:
        """Remove what it made for itself."""
        ...
