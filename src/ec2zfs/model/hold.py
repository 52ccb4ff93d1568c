"""Holds: what keeps a snapshot from being destroyed, and who put it there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

PREFIX = "ec2zfs:"

STAGING = "ec2zfs-staging"
"""The tag of the hold on the snapshot as of which a source is staged: no stage can begin at another one."""


@dataclass(frozen=True)
class Hold:
    """A hold on a snapshot (`dataset@name`); `since` is None where ZFS does not tell it in seconds (before 2.2)."""

    snapshot: str
    tag: str
    since: datetime | None = None

    @property
    def pool(self) -> str:
        """The cloud pool for which ec2zfs holds it; "" when it is not ours."""
        return self.tag.removeprefix(PREFIX) if self.tag.startswith(PREFIX) else ""


def hold_tag(pool: str) -> str:
    """The one tag of all holds for a cloud pool."""
    return f"{PREFIX}{pool}"
