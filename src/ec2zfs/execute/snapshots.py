"""Takes the snapshots of a run: one name for all sources, the tree of a recursive source in one transaction group.

It must never destroy or rename a snapshot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

from ec2zfs.execute.replication_state import missing_sources
from ec2zfs.hosts.host import Host
from ec2zfs.model.snapshot_name import snapshot_name
from ec2zfs.model.source import Source
from ec2zfs.tools.zfs import Zfs


@dataclass(frozen=True)
class Taken:
    """The snapshots of a run: their common name, and of which sources they were made now or stood there already."""

    name: str
    created: tuple[Source, ...]
    existing: tuple[Source, ...]


def take(site: Host, sources: Sequence[Source], now: datetime, period: str = "daily") -> Taken:
    """Take `ec2zfs_<UTC time>_<period>` of every source; what has that very snapshot keeps it.

    Sources of one pool and kind share one transaction group. The user properties `ec2zfs:run` and `ec2zfs:period` say
    that the snapshot is ours. Raises `ConfigurationError` when a source does not exist, before anything is taken.
    """
    name = snapshot_name(now, period)
    standing = Zfs(site).guids([word for source in sources for word in (source.dataset, f"{source.dataset}@{name}")])
    missing = [source.dataset for source in sources if source.dataset not in standing]
    if missing:
        raise missing_sources(site, missing)
    created = tuple(source for source in sources if f"{source.dataset}@{name}" not in standing)
    properties = {"ec2zfs:run": f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}", "ec2zfs:period": period}
    for (_, recursive), group in groupby(sorted(created, key=_pool_and_kind), key=_pool_and_kind):
        Zfs(site).snapshot([f"{source.dataset}@{name}" for source in group], properties, recursive=recursive)
    return Taken(name, created, tuple(source for source in sources if source not in created))


def _pool_and_kind(source: Source) -> tuple[str, bool]:
    return source.dataset.split("/", 1)[0], source.recursive
