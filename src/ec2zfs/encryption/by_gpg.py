"""Large contents in the OpenPGP format: through a gpg that is started for each, in a home of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from ec2zfs.encryption.gpg_home import GpgHome
from ec2zfs.encryption.packets import encrypted_keys
from ec2zfs.errors import Damaged, Ec2zfsError, RecipientRefused, Refused, WrongIdentity
from ec2zfs.hosts.filter import Filtered, run_filter
from ec2zfs.tools import gpg

if TYPE_CHECKING:
    from ec2zfs.encryption.identities import Identity
    from ec2zfs.encryption.streams import Sink, Source
    from ec2zfs.hosts.secret import Secret


class GpgEncryptor:
    """Encrypts to public keys, which are given by fingerprint. Raises `Refused` without a file system in memory."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._home = GpgHome()
        self._files = [self._home.add(f"{fingerprint}.pgp", key) for fingerprint, key in keys.items()]

    def encrypt(self, source: Source, sink: Sink) -> None:
        """See `Encryptor`."""
        ended = run_filter(gpg.encrypt_argv(self._home.path, self._files), source.pieces(), sink.write)
        if gpg.unusable_recipient(ended.stderr):
            raise invalid_key(source.name, gpg.last_words(ended.stderr))
        if ended.status != 0 or not ended.took_all:
            raise Ec2zfsError(f"gpg did not encrypt {source.name}: {_why(ended)}.")

    def close(self) -> None:
        """Remove its home."""
        self._home.close()


class GpgDecryptor:
    """Decrypts with one identity, which stands in a `home` meanwhile, or with the user's own gpg.

    Raises `Refused` for an identity that gpg does not take, and where there is no file system in memory for it.
    """

    def __init__(self, identity: Identity) -> None:
        self._passphrase = identity.passphrase
        self.home = None if identity.secret is None else _home_with(identity.secret)

    def decrypt(self, head: bytes, source: Source, sink: Sink) -> None:
        """Decrypt a source of which `head` has been read already. See `Decryptor`."""
        with _piped(self._passphrase) as passphrase:
            argv = gpg.decrypt_argv(None if self.home is None else self.home.path, passphrase)
            inherited = () if passphrase is None else (passphrase,)
            ended = run_filter(argv, source.pieces(), sink.write, inherited)
        _judge(ended, source, head)

    def close(self) -> None:
        """Remove its home with the identity, if it has one."""
        if self.home is not None:
            self.home.close()


def invalid_key(name: str, why: str) -> RecipientRefused:
    """The error for a content that one of the recipients' keys does not serve for any more."""
    return RecipientRefused(
        f"{name} was not encrypted, since one of the recipients' keys is not valid any more: {why}.",
        hint="Has it expired meanwhile? Give one that has not.",
    )


def _home_with(secret: Secret) -> GpgHome:
    home = GpgHome()
    with ExitStack() as unfit:
        unfit.callback(home.close)
        ended = run_filter(gpg.import_argv(home.path), [secret.reveal()], bytes)
        if ended.status != 0:
            raise Refused(f"gpg does not take the identity: {_why(ended)}.")
        unfit.pop_all()
    return home


def _judge(ended: Filtered, source: Source, head: bytes) -> None:
    match gpg.decrypted(ended.status, ended.stderr):
        case gpg.Verdict.NO_IDENTITY:
            raise _wrong_identity(source, head)
        case gpg.Verdict.PASSPHRASE:
            raise Refused("The passphrase does not open the identity.")
        case gpg.Verdict.DAMAGED:
            raise Damaged(f"{source.name} was altered or cut off ({_why(ended)}).")
    if not ended.took_all or source.next(1):
        raise Damaged(f"{source.name} goes on after its end.")


def _wrong_identity(source: Source, head: bytes) -> WrongIdentity:
    names = ", ".join(key.key_id for key in encrypted_keys(head) if key.key_id)
    others = f" but to {names}" if names else ""
    return WrongIdentity(
        f"{source.name} is not encrypted to the identity that was given{others}, or its head was altered."
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
