"""Holds by `zfs` on one host: put on, taken off and listed in one execution each, however many snapshots there are.

The work is zfs_hold.sh's. What has gone meanwhile is no failure here: whoever needs it finds out. It destroys nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from ec2zfs.hosts.host import Host
from ec2zfs.model.hold import Hold
from ec2zfs.tools.zfs_scripts import zfs_script

LIMIT = 900.0
"""Seconds for one execution: each hold waits for its transaction group, 8 side by side."""


class ZfsHolds:
    """The holds on a host. Snapshots and datasets are named in full."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def hold(self, pool: str, snapshots: Iterable[str]) -> None:
        """Hold them for a cloud pool, and note before that there may be holds for it (`ec2zfs:holds`)."""
        names = sorted(snapshots)
        self._run(("hold", pool, *_roots(names)), names)

    def release(self, pool: str, snapshots: Iterable[str], *, all_of: Iterable[str] = ()) -> None:
        """Take the pool's holds off. `all_of`: nothing stays held for it in the ZFS pools of these, which is noted."""
        self._run(("release", pool, *_roots(all_of)), sorted(snapshots))

    def holds(self, datasets: Iterable[str]) -> tuple[Hold, ...]:
        """All holds on all snapshots of the datasets, anybody's. Slow: ZFS opens each snapshot (fact 49)."""
        names = sorted(datasets)
        return parse_holds(self._run(("list",), names)) if names else ()

    def _run(self, words: tuple[str, ...], names: list[str]) -> list[str]:
        lines = "".join(f"{name}\n" for name in names)
        return self.host.run(replace(zfs_script("zfs_hold.sh", *words), stdin=lines.encode(), timeout=LIMIT)).lines()


def parse_holds(lines: Iterable[str]) -> tuple[Hold, ...]:
    """The holds in what `zfs holds -Hp` prints; before OpenZFS 2.2 the time is text, and not told here."""
    return tuple(_hold(*line.split("\t")) for line in lines)


def _hold(snapshot: str, tag: str, since: str) -> Hold:
    return Hold(snapshot, tag, datetime.fromtimestamp(int(since), UTC) if since.isdecimal() else None)


def _roots(names: Iterable[str]) -> tuple[str, ...]:
    """The root datasets of the ZFS pools in which something has one of these names."""
    return tuple(sorted({name.partition("@")[0].partition("/")[0] for name in names}))
