"""Judges the keys that files are to be encrypted to: of which format they are, and whether they may be used.

What can decrypt has no place here: an identity is refused, and its text is quoted nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable

from ec2zfs.encryption.interface import Format, Recipient, Recipients
from ec2zfs.errors import RecipientRefused

_AGE_IDENTITY = "AGE-SECRET-KEY-"
_PGP_BLOCK = "-----BEGIN PGP "


def judged(texts: Iterable[str]) -> Recipients:
    """The recipients whose keys stand in these texts: `age1…` one a line, or armoured OpenPGP public keys.

    A key that is given twice counts once. Raises `RecipientRefused` for an identity, a key that has expired, was
    revoked or cannot encrypt, one that stock programs could not decrypt for, both formats at once, or none at all;
    and `MissingTool` without gpg.
    """
    found = [recipient for text in texts for recipient in _judged(text)]
    formats = {each for each, _ in found}
    if not found:
        raise RecipientRefused("No recipient is given.", hint="Give at least one public key: age1…, or an OpenPGP one.")
    if len(formats) > 1:
        raise RecipientRefused(
            "The recipients are OpenPGP and age keys together; a file is encrypted in one of the two formats.",
            hint="Keep those of one format: an owner of the other needs a second key.",
        )
    keys = {recipient.fingerprint: recipient for _, recipient in found}
    return Recipients(formats.pop(), tuple(keys.values()))


def _judged(text: str) -> list[tuple[Format, Recipient]]:
    if _AGE_IDENTITY in text.upper():
        raise identity_refused("an age identity (AGE-SECRET-KEY-…)", "its recipient (`age-keygen -y`)")
    if _PGP_BLOCK in text:
        from ec2zfs.encryption.openpgp_keys import recipients

        return [(Format.OPENPGP, recipient) for recipient in recipients(text)]
    from ec2zfs.encryption.age import recipient

    lines = (line.strip() for line in text.splitlines())
    return [(Format.AGE, recipient(line)) for line in lines if line and not line.startswith("#")]


def identity_refused(what: str, instead: str) -> RecipientRefused:
    """The error for a private key where a public one belongs."""
    return RecipientRefused(
        f"Among the recipients is {what}. Whoever has it can decrypt everything, so it must not be here.",
        hint=f"Take it away from this machine, and give {instead} instead.",
    )
