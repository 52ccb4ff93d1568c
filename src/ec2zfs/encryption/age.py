"""The age format, through pyrage alone: it streams, and on contents of any size it is as fast as `age` itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

from ec2zfs.encryption.interface import Recipient, Recipients
from ec2zfs.errors import Damaged, RecipientRefused, Refused, WrongIdentity

if TYPE_CHECKING:
    from io import BufferedReader

    from pyrage.x25519 import Identity

    from ec2zfs.encryption.streams import Sink, Source
    from ec2zfs.hosts.secret import Secret

_AT_ONCE = 64 << 10
"""Above this size a stream is faster: what one call gives is copied as it grows."""
_LARGE = 8 << 20
"""Above this size another core writes and hashes what the library gives; it would not have begun before."""
_OVERHEAD = 64 << 10
"""What a ciphertext may have more than its content and still count as small."""


def recipient(line: str) -> Recipient:
    """The recipient that an `age1…` is. Raises `RecipientRefused`; plugins' and ssh keys are not taken."""
    from pyrage import RecipientError, x25519

    try:
        key = str(x25519.Recipient.from_str(line))
    except RecipientError as error:
        raise RecipientRefused(
            f"`{line[:80]}` is no age recipient ({error}).", hint="It is what `age-keygen -y` prints: age1…"
        ) from error
    return Recipient(key, key, key, frozenset(), None)


class AgeEncryptor:
    """Encrypts to age recipients, up to `small` bytes in one call."""

    def __init__(self, recipients: Recipients, small: int) -> None:
        from pyrage import x25519

        self._keys = [x25519.Recipient.from_str(recipient.key) for recipient in recipients.keys]
        self._small = min(small, _AT_ONCE)

    def encrypt(self, source: Source, sink: Sink) -> None:
        """See `Encryptor`."""
        import pyrage

        head = source.head(self._small + 1)
        if len(head) <= self._small:
            sink.write(pyrage.encrypt(head, self._keys))
        else:
            _streamed(lambda reader: pyrage.encrypt_io(reader, sink, self._keys), source, sink)

    def close(self) -> None:
        """Nothing was made."""


class AgeDecryptor:
    """Decrypts with the age identities in a text such as `age-keygen` writes it, one a line. Raises `Refused`."""

    def __init__(self, secret: Secret, small: int) -> None:
        self._identities = _identities(secret)
        self._small = small + _OVERHEAD

    def decrypt(self, source: Source, sink: Sink) -> None:
        """See `Decryptor`."""
        import pyrage

        head = source.head(self._small + 1)
        if len(head) <= self._small:
            _translated(lambda: sink.write(pyrage.decrypt(head, self._identities)), source, sink)
        else:
            _streamed(lambda reader: pyrage.decrypt_io(reader, sink, self._identities), source, sink)

    def close(self) -> None:
        """Nothing was made."""


def _identities(secret: Secret) -> Sequence[Identity]:
    from pyrage import IdentityError, x25519

    lines = [line.strip() for line in secret.reveal().decode("ascii", "replace").splitlines()]
    try:
        found = [x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except IdentityError:
        # What the library says may quote the text.
        raise Refused("The age identity cannot be read.", hint="It is a line AGE-SECRET-KEY-1….") from None
    return found


def _streamed(carry: Callable[[BufferedReader], object], source: Source, sink: Sink) -> None:
    reader = source.stream()
    with sink.beside() if source.size() > _LARGE else nullcontext():
        _translated(lambda: carry(reader), source, sink)
    if reader.read(1):
        raise Damaged(f"{source.name} goes on after its end.")


def _translated(carry: Callable[[], object], source: Source, sink: Sink) -> None:
    """The library's errors in our words; the disk's own faults, which pass through it, as they were."""
    try:
        carry()
    except Exception as error:
        if fault := source.fault or sink.fault:
            raise fault from error
        if "No matching keys found" in str(error):
            raise WrongIdentity(
                f"{source.name} is not encrypted to the identity that was given, or its head was altered."
            ) from error
        raise Damaged(f"{source.name} was altered or cut off, or is no age file ({error}).") from error
