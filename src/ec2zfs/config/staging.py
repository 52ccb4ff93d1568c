"""The section on staging: where each file of the sources is encrypted to public keys, and to whose."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from ec2zfs.config.described import Section, key
from ec2zfs.config.values import DatasetName, refusal

NamesShown = Literal["plain", "encrypted"]

_IDENTITIES = {
    "AGE-SECRET-KEY-": "an age identity (AGE-SECRET-KEY-…)",
    "PGP PRIVATE KEY": "an OpenPGP private key",
}
_PUBLIC_BLOCK = "-----BEGIN PGP PUBLIC KEY BLOCK-----"


def _without_identity(given: object) -> object:
    """A kind of error of its own, since the words on other errors show what was given."""
    text = str(given).upper()
    for mark, what in _IDENTITIES.items():
        if mark in text:
            right = (
                f"must hold public keys alone, and among them is {what}: whoever has it can decrypt everything, so it"
                " must not be on this machine"
            )
            raise PydanticCustomError("identity", "{right}", {"right": right})
    return given


def _recipient(text: str) -> str:
    if not text.startswith(("/", "~/", "age1", _PUBLIC_BLOCK)):
        raise refusal("must be age1…, an armoured OpenPGP public key, or the absolute path of a file with public keys")
    return text


RecipientText = Annotated[str, AfterValidator(_recipient)]
RecipientTexts = Annotated[tuple[RecipientText, ...], BeforeValidator(_without_identity)]


class StagingSection(Section):
    """A pool at the site in which each file of the sources stands encrypted to public keys (`ec2zfs stage`). Where it
    has a dataset, the cloud pool gets what is staged, and never the sources' own files."""

    dataset: DatasetName | None = key(
        "Dataset below which the staged ones stand, tank/home as vault/tank/home; it has to be there, with a mount"
        " point, and ec2zfs has to run at the site as root",
        None,
        example="vault",
        words="nothing is staged",
    )
    recipients: RecipientTexts = key(
        "Who can decrypt: public keys of one format, each as age1…, as an armoured OpenPGP block, or as a file of them",
        (),
        example=("/etc/ec2zfs/recipients.asc",),
        words="none; one is needed at least where there is a dataset",
    )
    names: NamesShown = key("Whether staged files have the names and directories that they have at the source", "plain")
    full_walk_days: Annotated[int, Field(strict=True, ge=1, le=365)] = key(
        "How often the whole tree of a source is compared, and not only where `zfs diff` says that something changed",
        7,
        unit="days",
    )

    @field_validator("recipients")
    @classmethod
    def _somebody(cls, recipients: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if info.data.get("dataset") and not recipients:
            raise refusal("are needed where staging has a dataset: without a public key nothing can be encrypted")
        return recipients
