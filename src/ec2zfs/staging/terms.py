"""What is agreed on before anything is staged: for whom, under which names, and which snapshot it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ec2zfs.encryption.interface import Recipients


class NameMode(StrEnum):
    """Whether the folder shows the source's names beside its objects, or none: then only the manifest has them."""

    PLAIN = "plain"
    ENCRYPTED = "encrypted"


@dataclass(frozen=True)
class Terms:
    """To whom the folder's files are encrypted, and whether it shows their names."""

    recipients: Recipients
    names: NameMode

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """The recipients' fingerprints, in an order that does not depend on how they were given."""
        return tuple(sorted(each.fingerprint for each in self.recipients.keys))


@dataclass(frozen=True)
class Label:
    """The snapshot that a segment of the manifest stands for. `created` in seconds since 1970, as ZFS tells it."""

    dataset: str
    snapshot: str
    guid: int
    created: int
