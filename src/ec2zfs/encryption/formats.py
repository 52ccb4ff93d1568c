"""The one place that knows both formats: which part encrypts to these recipients, or decrypts with this identity."""

from __future__ import annotations

from ec2zfs.encryption.identities import Identity
from ec2zfs.encryption.interface import Decryptor, Encryptor, Format, Recipients
from ec2zfs.errors import Refused

SMALL = 4 << 20
"""Up to this size, in bytes, a content is encrypted in memory, without gpg; measured by bench/encryption.py."""


def encryptor(recipients: Recipients, small: int = SMALL) -> Encryptor:
    """What encrypts to these recipients, in this process."""
    if recipients.format is Format.AGE:
        from ec2zfs.encryption.age import AgeEncryptor

        return AgeEncryptor(recipients, small)
    from ec2zfs.encryption.openpgp import OpenPgpEncryptor

    return OpenPgpEncryptor(recipients, small)


def decryptor(identity: Identity, small: int = SMALL) -> Decryptor:
    """What decrypts with this identity, in this process. Raises `Refused` for one that cannot be read."""
    if identity.format is Format.AGE:
        from ec2zfs.encryption.age import AgeDecryptor

        if identity.secret is None:
            raise Refused("An age identity is to be given: age has no agent.")
        return AgeDecryptor(identity.secret, small)
    from ec2zfs.encryption.openpgp import OpenPgpDecryptor

    return OpenPgpDecryptor(identity, small)
