"""OpenPGP public keys as recipients, judged by gpg, and made ready for the library that encrypts to them too."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ec2zfs.encryption.interface import Recipient
from ec2zfs.encryption.packets import READABLE, encrypted_keys
from ec2zfs.encryption.recipients import identity_refused
from ec2zfs.encryption.sequoia import LibraryFault, asked
from ec2zfs.errors import RecipientRefused
from ec2zfs.hosts.host import Command
from ec2zfs.hosts.local import LocalHost
from ec2zfs.tools import gpg

if TYPE_CHECKING:
    from pysequoia import Cert

_V4_FINGERPRINT = 40


def recipients(text: str) -> Sequence[Recipient]:
    """The public keys in an armoured text, each judged by gpg. Raises `RecipientRefused`, and `MissingTool`."""
    import pysequoia

    _refuse_identity(text)
    try:
        found = asked(lambda: [cert for block in _blocks(text) for cert in pysequoia.Cert.split_bytes(block.encode())])
    except LibraryFault as fault:
        raise _unparsed(str(fault)) from fault
    if not found:
        raise _unparsed("there is no key in it")
    with tempfile.TemporaryDirectory(prefix="ec2zfs-gpg-") as home:
        # It exits with 2 for a key that it cannot read, whatever it can say of the others.
        shown = LocalHost().run(Command(gpg.show_argv(home), text.encode(), accept=frozenset({0, 2}))).text
    listed = {key.fingerprint: key for key in gpg.listed_keys(shown)}
    return [_recipient(cert, listed.get(cert.fingerprint.upper())) for cert in found]


def _blocks(text: str) -> list[str]:
    begin = "-----BEGIN PGP "
    return [begin + block for block in text.split(begin)[1:]]


def _refuse_identity(text: str) -> None:
    from pysequoia.packet import Tag

    refused = identity_refused("an OpenPGP private key", "the public one (`gpg --armor --export`)")
    if "PRIVATE KEY BLOCK" in text:
        raise refused
    for block in _blocks(text):
        try:
            tags = _tags(block)
        except LibraryFault as fault:
            raise _unparsed(str(fault)) from fault
        if tags & {int(Tag.SecretKey), int(Tag.SecretSubkey)}:
            raise refused


def _tags(block: str) -> set[int]:
    from pysequoia.packet import PacketPile

    return asked(lambda: {int(packet.tag) for packet in PacketPile.from_bytes(block.encode())})


def _recipient(cert: Cert, listed: gpg.ListedKey | None) -> Recipient:
    known = cert.fingerprint.upper()
    if len(cert.fingerprint) != _V4_FINGERPRINT:
        raise _refused(known, "is of version 6, which the gpg of today's distributions cannot read")
    if listed is None:
        raise _refused(known, "is none that gpg takes")
    known = f"{listed.name} ({known})"
    if listed.fault:
        raise _refused(known, listed.fault)
    if not listed.encrypting:
        raise _refused(known, "has no part that encrypts and is valid now: none was made, or it expired or was revoked")
    usable = _stripped(cert, listed.encrypting)
    return Recipient(str(usable), listed.name, listed.fingerprint, _addresses(usable, known), listed.expires)


def _stripped(cert: Cert, encrypting: frozenset[str]) -> Cert:
    """The key without other subkeys: the library would encrypt to those that have expired, too (seen in 0.1.35)."""
    import pysequoia
    from pysequoia.packet import PacketPile, Tag

    kept = []
    keep = True
    for packet in PacketPile.from_bytes(bytes(cert)):
        if packet.tag == Tag.PublicSubkey:
            keep = (packet.key_id or "").upper() in encrypting
        if keep:
            kept.append(packet)
    return pysequoia.Cert.from_packets(kept)


def _addresses(cert: Cert, known: str) -> frozenset[str]:
    import pysequoia

    try:
        sample = asked(lambda: pysequoia.encrypt(b"", recipients=[cert], armor=False))
    except LibraryFault as fault:
        raise _refused(known, f"cannot be encrypted to ({fault})") from fault
    keys = encrypted_keys(sample)
    if any(key.version != READABLE for key in keys):
        raise _refused(known, "asks for a format that the gpg of today's distributions cannot read")
    return frozenset(key.key_id for key in keys)


def _refused(known: str, why: str) -> RecipientRefused:
    return RecipientRefused(
        f"The key of the recipient {known} {why}.",
        hint="Have its owner make or prolong one (gpg --quick-gen-key, --quick-add-key, --quick-set-expire) "
        "and export it again.",
    )


def _unparsed(why: str) -> RecipientRefused:
    return RecipientRefused(
        f"A recipient's OpenPGP public key cannot be read: {why}.", hint="Export it again: gpg --armor --export NAME."
    )
