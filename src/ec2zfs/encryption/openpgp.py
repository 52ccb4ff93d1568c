"""The OpenPGP format: small contents by a library in this process, large ones by gpg (by_gpg.py).

Measured, the library is far faster for small contents and gpg for large ones, of which the library also keeps too much
in memory (docs/design.md, Encryption). Both write the same format. The library holds Python's lock, so this runs in
processes of its own (workers.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ec2zfs.encryption.packets import encrypted_keys
from ec2zfs.encryption.sequoia import LibraryFault, asked
from ec2zfs.errors import Damaged, Refused

if TYPE_CHECKING:
    from pysequoia import PyDecryptor

    from ec2zfs.encryption.by_gpg import GpgDecryptor, GpgEncryptor
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
        self._gpg: GpgEncryptor | None = None

    def encrypt(self, source: Source, sink: Sink) -> None:
        """See `Encryptor`."""
        head = source.head(self._small + 1)
        if len(head) <= self._small:
            sink.write(self._by_library(head, source))
        else:
            self._by_gpg(source, sink)

    def close(self) -> None:
        """Remove gpg's home, if there is one."""
        if self._gpg is not None:
            self._gpg.close()

    def _by_library(self, content: bytes, source: Source) -> bytes:
        import pysequoia

        try:
            return asked(lambda: pysequoia.encrypt(content, recipients=self._certs, armor=False))
        except LibraryFault as fault:
            from ec2zfs.encryption.by_gpg import invalid_key

            raise invalid_key(source.name, str(fault)) from fault

    def _by_gpg(self, source: Source, sink: Sink) -> None:
        if self._gpg is None:
            from ec2zfs.encryption.by_gpg import GpgEncryptor

            self._gpg = GpgEncryptor({cert.fingerprint: bytes(cert) for cert in self._certs})
        self._gpg.encrypt(source, sink)


class OpenPgpDecryptor:
    """Decrypts with one OpenPGP identity, or with the user's own gpg. Raises `Refused` for what is no private key."""

    def __init__(self, identity: Identity, small: int) -> None:
        self._identity = identity
        self._small = small + _OVERHEAD
        self._library = None if identity.secret is None else _library(identity.secret, identity.passphrase)
        self._gpg: GpgDecryptor | None = None

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
        if self._gpg is not None:
            self._gpg.close()

    def _by_gpg(self, head: bytes, source: Source, sink: Sink) -> None:
        if self._gpg is None:
            from ec2zfs.encryption.by_gpg import GpgDecryptor

            self._gpg = GpgDecryptor(self._identity)
        self._gpg.decrypt(head, source, sink)


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
