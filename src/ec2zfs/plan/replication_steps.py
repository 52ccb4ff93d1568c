"""What replication can do to one dataset: each step is a value that can be printed, counted and compared.

`bytes` is an estimate that observation adds later (fact 45), so it takes no part in comparison.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ec2zfs.model.replication import Replica
from ec2zfs.model.snapshot import Bookmark, ResumeToken, Snapshot

SHOWN = 60
"""Characters of a property's value that are shown."""


@dataclass(frozen=True)
class CreateParent:
    """Create a dataset of the pool that only stands above a copy: never mounted, read-only."""

    name: str

    def __str__(self) -> str:
        return f"create {self.name}, the parent of a copy"


@dataclass(frozen=True)
class RenameCopy:
    """Let a copy follow its source, which was renamed; what stands below goes with it."""

    old: str
    new: str
    reason: str = "as its source was"

    def __str__(self) -> str:
        return f"rename {self.old} to {self.new}, {self.reason}"


@dataclass(frozen=True)
class Identify:
    """Let a copy bear the GUID of its source, by which it is known when that is renamed."""

    copy: str
    source: int

    def __str__(self) -> str:
        return f"mark {self.copy} as the copy of the dataset with the GUID {self.source}"


@dataclass(frozen=True)
class TokenForeign:
    """A resume token that is not that of the very stream that is to be sent next, and why (peers, pain 8)."""

    token: ResumeToken
    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True)
class DropPartial:
    """Drop what a broken-off receive left, because it cannot be continued. Complete snapshots are not touched."""

    target: str
    fault: TokenForeign

    def __str__(self) -> str:
        return f"drop the partly received stream in {self.target}: {self.fault}"


@dataclass(frozen=True)
class Resume:
    """Send the rest of the stream that a broken-off receive waits for; `base` is None when it is a full one."""

    replica: Replica
    base: Snapshot | Bookmark | None
    to: Snapshot
    token: ResumeToken
    bytes: int | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"send the rest of {self.to}"


@dataclass(frozen=True)
class Full:
    """Send the whole of a snapshot: the first of its dataset."""

    replica: Replica
    to: Snapshot
    bytes: int | None = field(default=None, compare=False)

    @property
    def base(self) -> None:
        """A full stream has none."""

    def __str__(self) -> str:
        return f"send {self.to} in full"


@dataclass(frozen=True)
class Incremental:
    """Send what a snapshot changed since the base, which both sides have (as a bookmark at least, fact 37)."""

    replica: Replica
    base: Snapshot | Bookmark
    to: Snapshot
    bytes: int | None = field(default=None, compare=False)

    def __str__(self) -> str:
        sign = "@" if isinstance(self.base, Snapshot) else "#"
        return f"send {self.to} since {sign}{self.base.name}"


@dataclass(frozen=True)
class Mark:
    """Bookmark the last common snapshot at the source, and drop the bookmarks that marked earlier ones (fact 37)."""

    snapshot: Snapshot
    cursor: str
    outdated: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"mark {self.snapshot} as the last common snapshot"


@dataclass(frozen=True)
class KeepProperties:
    """Let a copy have the properties of its source: `given` by name and value, `taken` are inherited again.

    `before` is what those of the given ones had that were set already (None: a value that cannot be told). `begun`: the
    copy is yet to be made.
    """

    target: str
    given: tuple[tuple[str, str], ...] = ()
    taken: tuple[str, ...] = ()
    before: tuple[tuple[str, str | None], ...] = ()
    begun: bool = False

    def __str__(self) -> str:
        before = dict(self.before)
        words = [f"{name}={_shown(value)}{_was(before[name]) if name in before else ''}" for name, value in self.given]
        parts = [f"set {', '.join(words)}"] if words else []
        parts += [f"inherit {', '.join(self.taken)}"] if self.taken else []
        return f"{' and '.join(parts)} on {self.target}"


def _was(value: str | None) -> str:
    return "" if value is None else f" (was {_shown(value)})"


def _shown(value: str) -> str:
    """The value as a terminal can show it."""
    short = value if len(value) <= SHOWN else f"{value[:SHOWN]}…"
    return short if short.isprintable() else ascii(short)


Transfer = Resume | Full | Incremental
Step = CreateParent | RenameCopy | DropPartial | Transfer | Mark
