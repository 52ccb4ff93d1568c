"""What decrypts: an identity in memory, or the user's own gpg with its agent and card, whose key we never see."""

from __future__ import annotations

from typing import NamedTuple

from ec2zfs.encryption.interface import Format
from ec2zfs.errors import Refused
from ec2zfs.hosts.secret import Secret


class Identity(NamedTuple):
    """A private key of one format. `secret` None stands for the user's own gpg; `passphrase`, if the key has one."""

    format: Format
    secret: Secret | None = None
    passphrase: Secret | None = None


OWN_GPG = Identity(Format.OPENPGP)
"""The user's gpg: its keyring, gpg-agent, smart card. gpg is started for each file, so many small ones are slow."""


def recognised(secret: Secret, passphrase: Secret | None = None) -> Identity:
    """The identity that a text is: lines AGE-SECRET-KEY-1…, or one armoured OpenPGP private key.

    Raises `Refused` for anything else, without quoting it.
    """
    text = secret.reveal()
    blocks = text.count(b"-----BEGIN PGP PRIVATE KEY BLOCK-----")
    if blocks > 1:
        raise Refused("There are several OpenPGP private keys; one identity is taken at a time.")
    if blocks == 1:
        return Identity(Format.OPENPGP, secret, passphrase)
    if b"AGE-SECRET-KEY-1" in text:
        return Identity(Format.AGE, secret)
    raise Refused(
        "What was given is no identity.",
        hint="It is lines AGE-SECRET-KEY-1…, or what `gpg --armor --export-secret-keys NAME` prints.",
    )
