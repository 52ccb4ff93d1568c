"""The flags with which all streams of a copy are sent, from its first on; the copy remembers them in `ec2zfs:send`.

Flags that change in the middle of a chain have cost people data (openzfs #6224), and raw and plain streams never mix
(facts 38, 46).
"""

from __future__ import annotations

from enum import StrEnum

SEND = "ec2zfs:send"
"""The user property. It also says which datasets of a pool are copies that we made, and so whose snapshots are ours."""


class SendFlags(StrEnum):
    """The words for `zfs send`, as they stand in the property."""

    PLAIN = "-L -e -c"
    RAW = "-w"

    @property
    def words(self) -> tuple[str, ...]:
        """As arguments."""
        return tuple(self.split())

    @staticmethod
    def of(*, encrypted: bool) -> SendFlags:
        """What a dataset is sent with when nothing was sent of it before: raw if it is natively encrypted."""
        return SendFlags.RAW if encrypted else SendFlags.PLAIN
