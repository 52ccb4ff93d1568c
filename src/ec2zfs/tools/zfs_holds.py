"""Holds by `zfs` on one host: put on, taken off and listed in one execution each, however many snapshots there are.

The work is zfs_hold.sh's. What has gone meanwhile is no failure here: whoever needs it finds out. It destroys nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from ec2zfs.errors import CommandFailed
from ec2zfs.hosts.host import Command, Host
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


def busy_snapshot(host: Host, snapshot: str) -> str:
    """Who keeps a snapshot from being destroyed, in a sentence: its holds with their times, and its clones."""
    asked = (("holds", "-H", snapshot), ("get", "-Hp", "-o", "value", "clones", snapshot))
    holds, clones = (
        host.run(Command(("zfs", *words), timeout=LIMIT, accept=frozenset({0, 1}))).lines() for words in asked
    )
    keepers = [f"held by `{tag}` since {since}" for _, tag, since in (line.split("\t") for line in holds)]
    keepers += [f"the origin of {name}" for line in clones for name in line.split(",") if name != "-"]
    if not keepers:
        return f"Nothing holds {snapshot} now and it has no clones: try again."
    release = " `ec2zfs holds` tells whether it must be." if holds else ""
    return f"{snapshot} is {' and '.join(keepers)}.{release}"


def with_keepers(host: Host, error: CommandFailed, snapshot: str) -> CommandFailed:
    """The failure of what would have destroyed the snapshot, with who keeps it, where ZFS says no more than "busy"."""
    if not re.search(r"being held|\bis busy\b|dependent clones|is cloned", error.stderr):
        return error
    return CommandFailed(error.host, error.argv, error.status, error.stderr, hint=busy_snapshot(host, snapshot))


def parse_holds(lines: Iterable[str]) -> tuple[Hold, ...]:
    """The holds in what `zfs holds -Hp` prints; before OpenZFS 2.2 the time is text, and not told here."""
    return tuple(_hold(*line.split("\t")) for line in lines)


def _hold(snapshot: str, tag: str, since: str) -> Hold:
    return Hold(snapshot, tag, datetime.fromtimestamp(int(since), UTC) if since.isdecimal() else None)


def _roots(names: Iterable[str]) -> tuple[str, ...]:
    """The root datasets of the ZFS pools in which something has one of these names."""
    return tuple(sorted({name.partition("@")[0].partition("/")[0] for name in names}))
