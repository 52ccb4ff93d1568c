"""The OpenPGP format: small contents by a library in this process, large ones by a gpg that is started for each.

Measured, the library is far faster for small contents and gpg for large ones, of which the library also keeps too much
in memory (docs/design.md, Encryption). Both write the same format. The library holds Python's lock, so this runs in
processes of its own (workers.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ec2zfs.encryption.gpg_home import GpgHome
from ec2zfs.encryption.packets import encrypted_keys
from ec2zfs.encryption.sequoia import LibraryFault, asked
from ec2zfs.errors import Damaged, Ec2zfsError, RecipientRefused, Refused, WrongIdentity
from ec2zfs.hosts.filter import Filtered, run_filter
from ec2zfs.tools import gpg

if TYPE_CHECKING:
    from pysequoia import PyDecryptor

    from ec2zfs.encryption.identities import Identity
    from ec2zfs.encryption.interface import Recipients
    from ec2zfs.encryption.streams import Sink, Source
    from ec2zfs.hosts.secret import Secret

_OVERHEAD = 64 << 10
"""What a ciphertext may have more than its content and still count as small."""


class OpenPgpEncryptor:
    """Encrypts to OpenPGP keys. `small` is the largest size, in bytes, that the library is given."""

    def __init__(self, recipients: Recipients, small: int) -> None:
        from pysequoia import Cert

        self._certs = [Cert.from_bytes(recipient.key.encode()) for recipient in recipients.keys]
        self._small = small
        self._home: GpgHome | None = None
        self._files: list[str] = []

    def encrypt(self, source: Source, sink: Sink) -> None:
        """See `Encryptor`."""
        head = source.head(self._small + 1)
        if len(head) <= self._small:
            sink.write(self._by_library(head, source))
        else:
            self._by_gpg(head, source, sink)

    def close(self) -> None:
        """Remove gpg's home, if there is one."""
        if self._home is not None:
            self._home.close()

    def _by_library(self, content: bytes, source: Source) -> bytes:
        import pysequoia

        try:
            return asked(lambda: pysequoia.encrypt(content, recipients=self._certs, armor=False))
        except LibraryFault as fault:
            raise _not_to(source.name, str(fault)) from fault

    def _by_gpg(self, head: bytes, source: Source, sink: Sink) -> None:
        if self._home is None:
            self._home = GpgHome()
            self._files = [self._home.add(f"{cert.fingerprint}.pgp", bytes(cert)) for cert in self._certs]
        argv = gpg.encrypt_argv(self._home.path, self._files)
        ended = run_filter(argv, source.pieces(head), sink.write)
        if gpg.unusable_recipient(ended.stderr):
            raise _not_to(source.name, gpg.last_words(ended.stderr))
        if ended.status != 0 or not ended.took_all:
            raise Ec2zfsError(f"gpg did not encrypt {source.name}: {_why(ended)}.")


class OpenPgpDecryptor:
    """Decrypts with one OpenPGP identity, or with the user's own gpg. Raises `Refused` for what is no private key."""

    def __init__(self, identity: Identity, small: int) -> None:
        self._identity = identity
        self._small = small + _OVERHEAD
        self._library = None if identity.secret is None else _library(identity.secret, identity.passphrase)
        self._home: GpgHome | None = None

    def decrypt(self, source: Source, sink: Sink) -> None:
        """See `Decryptor`."""
        head = source.head(self._small + 1)
        if not encrypted_keys(head):
            raise Damaged(f"{source.name} is no OpenPGP message that is encrypted to a key.")
        content = None
        if len(head) <= self._small and self._library is not None:
            content = _decrypted(head, self._library, source)
        if content is None:
            self._by_gpg(head, source, sink)
        else:
            sink.write(content)

    def close(self) -> None:
        """Remove gpg's home with the identity, if there is one."""
        if self._home is not None:
            self._home.close()

    def _by_gpg(self, head: bytes, source: Source, sink: Sink) -> None:
        home = self._home_of_identity()
        with _piped(self._identity.passphrase) as passphrase:
            argv = gpg.decrypt_argv(home, passphrase)
            inherited = () if passphrase is None else (passphrase,)
            ended = run_filter(argv, source.pieces(head), sink.write, inherited)
        _judge(ended, source, head)

    def _home_of_identity(self) -> str | None:
        secret = self._identity.secret
        if secret is None:
            return None
        if self._home is None:
            self._home = GpgHome()
            ended = run_filter(gpg.import_argv(self._home.path), [secret.reveal()], bytes)
            if ended.status != 0:
                raise Refused(f"gpg does not take the identity: {_why(ended)}.")
        return self._home.path


def _library(secret: Secret, passphrase: Secret | None) -> PyDecryptor | None:
    """The library's decryptor; None for a key that it does not decrypt with, such as one that has expired."""
    import pysequoia

    word = None if passphrase is None else passphrase.reveal().decode("utf-8", "surrogateescape")
    try:
        return asked(lambda: pysequoia.Tsk.from_bytes(secret.reveal()).decryptor(password=word))
    except LibraryFault as fault:
        if "No suitable decryption subkey" in str(fault):
            return None
        raise Refused(
            f"The OpenPGP identity cannot be used: {fault}.",
            hint="Is its passphrase right, and is it what `gpg --armor --export-secret-keys NAME` prints?",
        ) from None


def _decrypted(message: bytes, library: PyDecryptor, source: Source) -> bytes | None:
    """What the library makes of it; None where it has no key, though gpg may: for a subkey that has expired, say."""
    import pysequoia

    try:
        return asked(lambda: pysequoia.decrypt(message, decryptor=library)).bytes
    except LibraryFault as fault:
        if "No key to decrypt" in str(fault):
            return None
        raise Damaged(f"{source.name} was altered or cut off ({fault}).") from fault


def _judge(ended: Filtered, source: Source, head: bytes) -> None:
    match gpg.decrypted(ended.status, ended.stderr):
        case gpg.Verdict.NO_IDENTITY:
            raise _wrong_identity(source, head)
        case gpg.Verdict.PASSPHRASE:
            raise Refused("The passphrase does not open the identity.")
        case gpg.Verdict.DAMAGED:
            raise Damaged(f"{source.name} was altered or cut off ({_why(ended)}).")
    if not ended.took_all or source.read(1):
        raise Damaged(f"{source.name} goes on after its end.")


def _wrong_identity(source: Source, head: bytes) -> WrongIdentity:
    names = ", ".join(key.key_id for key in encrypted_keys(head) if key.key_id)
    others = f" but to {names}" if names else ""
    return WrongIdentity(
        f"{source.name} is not encrypted to the identity that was given{others}, or its head was altered."
    )


def _not_to(name: str, why: str) -> RecipientRefused:
    return RecipientRefused(
        f"{name} was not encrypted, since one of the recipients' keys is not valid any more: {why}.",
        hint="Has it expired meanwhile? Give one that has not.",
    )


def _why(ended: Filtered) -> str:
    return gpg.last_words(ended.stderr).removeprefix("gpg: ") or f"it exited with {ended.status}"


@contextmanager
def _piped(secret: Secret | None) -> Iterator[int | None]:
    """A descriptor from which the secret can be read once: it fits into the pipe."""
    if secret is None:
        yield None
        return
    reading, writing = os.pipe()
    try:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(secret.reveal())
        yield reading
    finally:
        os.close(reading)
