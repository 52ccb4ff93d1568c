"""Finds the copies whose sources do not exist any more. Pure. They are kept and told; nothing here ever ends one.

Only a copy that bears the GUID of a source is judged, and only where its name belongs to what is to be safe: of what
was taken out of the configuration nobody knows here whether it still exists. What is excluded does.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from ec2zfs.model.replication import ReplicationState
from ec2zfs.plan.copies import Copies
from ec2zfs.plan.partings import is_aside


@dataclass(frozen=True)
class Orphan:
    """A copy without a source: the name that this had, and how many of the copies below have none either."""

    source: str
    copy: str
    below: int = 0

    def __str__(self) -> str:
        more = f" (and {self.below} below it)" if self.below else ""
        return (
            f"{self.source} does not exist any more at the site; its copy {self.copy}{more} is kept. When nobody needs "
            f"it, `zfs destroy -r {shlex.quote(self.copy)}` on the receiver ends it; the runbook tells how."
        )


def orphans(copies: Copies, state: ReplicationState) -> tuple[Orphan, ...]:
    """The copies whose sources are gone, each with those below it."""
    sources = (*state.sources, *state.excluded)
    guids, names = {source.guid for source in sources}, {source.name for source in sources}
    alone = [
        name
        for name in sorted(copies.standing)
        if copies.marks.get(name, 0) not in {0, *guids}
        and (source := _source_of(name, state)) not in names
        and (is_aside(state.pool, name) or any(each.covers(source) for each in state.covered))
    ]
    tops = [name for name in alone if not any(name.startswith(f"{other}/") for other in alone)]
    return tuple(Orphan(_source_of(top, state), top, sum(name.startswith(f"{top}/") for name in alone)) for top in tops)


def _source_of(copy: str, state: ReplicationState) -> str:
    return copy.removeprefix(f"{state.pool}/")
