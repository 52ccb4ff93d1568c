"""`zfs` on one host: datasets with their histories, and the small changes that replication makes around its streams.

Lists all datasets of a side in two executions (fact 49) and parses what they print. It must never destroy a snapshot or
a dataset, and never rolls back.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from operator import attrgetter, itemgetter

from ec2zfs.errors import CommandFailed
from ec2zfs.hosts.host import Command, Host
from ec2zfs.model.send_flags import SEND
from ec2zfs.model.snapshot import Bookmark, Dataset, DatasetKind, ResumeToken, Snapshot
from ec2zfs.plan.replication_steps import Mark
from ec2zfs.tools.zfs_scripts import script_text, side_by_side, zfs_script

LISTING_LIMIT = 900.0
"""Seconds that a listing may take: 17,000 snapshots a second and more are usual (peers, section 5)."""

CHANGES_LIMIT = 3600.0
"""Seconds for small changes to all datasets of a run, of which there may be thousands."""

DATASET_COLUMNS = "name,type,guid,encryption,written,receive_resume_token,ec2zfs:holds," + SEND
HISTORY_COLUMNS = "name,guid,createtxg"
"""Only what ZFS lists by its fast path, without opening each snapshot (fact 49)."""


class Zfs:
    """The `zfs` command on a host."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def datasets(self, names: Sequence[str], *, recursive: bool) -> tuple[Dataset, ...]:
        """The datasets with their snapshots and bookmarks, in two executions; with all below them when `recursive`.

        Raises `CommandFailed` when one does not exist: see `missing_datasets`.
        """
        if not names:
            return ()
        rows = self._list(*_listing("filesystem,volume", DATASET_COLUMNS, ("-r",) if recursive else ()), *names)
        depth = ("-r",) if recursive else ("-d", "1")
        history = self._list(*_listing("snapshot,bookmark", HISTORY_COLUMNS, ("-s", "createtxg", *depth)), *names)
        return with_history(parse_datasets(rows), history)

    def dataset(self, name: str) -> Dataset | None:
        """One dataset with its history, or None when it does not exist."""
        try:
            found = self.datasets((name,), recursive=False)
        except CommandFailed as error:
            if missing_datasets(error) == (name,):
                return None
            raise
        return found[0] if found else None

    def names(self) -> tuple[str, ...]:
        """The names of all datasets on the host."""
        return tuple(self._list("list", "-H", "-t", "filesystem,volume", "-o", "name"))

    def guids(self, names: Iterable[str]) -> dict[str, int]:
        """The GUIDs of those of the datasets and snapshots that exist, however many are asked for."""
        words = _listing("filesystem,volume,snapshot", "name,guid", ())
        asked = tuple(names)
        script = zfs_script("zfs_each.sh", *words, stdin=asked, timeout=LISTING_LIMIT)
        result = self.host.run(replace(script, accept=frozenset({0, 123})))
        found = {name: int(guid) for name, guid in (line.split("\t") for line in result.lines())}
        said = result.stderr.decode(errors="replace")
        if not {*asked} <= {*found, *_missing(said)}:
            raise CommandFailed(self.host.name, ("zfs", *words), result.status, said)
        return found

    def creations(self, bookmarks: Sequence[str]) -> dict[str, datetime]:
        """When the snapshots of these bookmarks were taken, in UTC; what does not exist is left out."""
        if not bookmarks:
            return {}
        script = zfs_script("zfs_each.sh", "list", "-Hp", "-t", "bookmark", "-o", "name,creation", stdin=bookmarks)
        rows = (line.split("\t") for line in self.host.run(replace(script, accept=frozenset({0, 123}))).lines())
        return {name: datetime.fromtimestamp(int(seconds), UTC) for name, seconds in rows}

    def resume_token(self, name: str) -> str:
        """The text of the token that the dataset holds now, or ""."""
        return _told(self._list("get", "-Hp", "-o", "value", "receive_resume_token", name)[0])

    def snapshot(self, names: Iterable[str], properties: dict[str, str]) -> None:
        """Take snapshots of one pool, all in one transaction group or none."""
        options = [word for name, value in properties.items() for word in ("-o", f"{name}={value}")]
        self.host.run(zfs_script("zfs_snapshot.sh", *options, stdin=names))

    def create_parent(self, name: str) -> None:
        """Create a file system that is never mounted and read-only, to stand above copies."""
        self._change("create", "-o", "canmount=off", "-o", "readonly=on", "-o", "ec2zfs:role=parent", name)

    def mark_all(self, marks: Sequence[Mark]) -> dict[str, str]:
        """Move many cursors in one execution; what ZFS said, by their snapshots, where one could not be moved."""
        if not marks:
            return {}
        items = (
            "\n".join(
                (str(each.snapshot), *(f"{each.snapshot.dataset}#{name}" for name in (each.cursor, *each.outdated)))
            )
            for each in marks
        )
        text = script_text("zfs_mark.sh")
        told = self.host.run(side_by_side("zfs_marks.sh", text, items=items, timeout=CHANGES_LIMIT)).lines()
        return {snapshot: said.strip() for snapshot, _, said in (line.partition("\t") for line in told)}

    def drop_partial(self, name: str) -> None:
        """Drop what a broken-off receive left in the dataset; complete snapshots stay (fact 36)."""
        self._change("receive", "-A", name, timeout=LISTING_LIMIT)

    def _list(self, *words: str) -> list[str]:
        return self.host.run(Command.of("zfs", *words, timeout=LISTING_LIMIT)).lines()

    def _change(self, *words: str, timeout: float = 300.0) -> None:
        self.host.run(Command.of("zfs", *words, timeout=timeout))


def told_version(lines: Iterable[str]) -> str:
    """The version of the kernel modules in what `zfs version` prints (`zfs-kmod-2.3.2-2~bpo12+2`), or ""."""
    told = (line.partition("zfs-kmod-") for line in lines)
    return next((version for before, found, version in told if found and not before), "")


def parse_datasets(lines: Iterable[str]) -> tuple[Dataset, ...]:
    """Datasets without their history, from lines of `DATASET_COLUMNS`; a token stays undecoded."""
    columns = DATASET_COLUMNS.split(",")
    return tuple(_dataset(dict(zip(columns, line.split("\t"), strict=True))) for line in lines)


def with_history(datasets: Iterable[Dataset], lines: Iterable[str]) -> tuple[Dataset, ...]:
    """The datasets with the snapshots and bookmarks of lines of `HISTORY_COLUMNS`, oldest first."""
    snapshots: dict[str, list[Snapshot]] = defaultdict(list)
    bookmarks: dict[str, list[Bookmark]] = defaultdict(list)
    made = partial(tuple.__new__, Snapshot)  # half of what the constructor takes, a hundred thousand times
    for line in lines:
        name, guid, createtxg = line.split("\t")
        dataset, at, short = name.partition("@")
        if at:
            snapshots[dataset].append(made((dataset, short, int(guid), int(createtxg))))
        else:
            dataset, _, short = name.partition("#")
            bookmarks[dataset].append(Bookmark(dataset, short, int(guid), int(createtxg)))
    return tuple(
        replace(
            dataset,
            snapshots=tuple(sorted(snapshots.get(dataset.name, ()), key=itemgetter(3))),
            bookmarks=tuple(sorted(bookmarks.get(dataset.name, ()), key=attrgetter("createtxg"))),
        )
        for dataset in datasets
    )


def missing_datasets(error: CommandFailed) -> tuple[str, ...]:
    """The names of which `zfs` said that they do not exist."""
    return _missing(error.stderr)


def _missing(stderr: str) -> tuple[str, ...]:
    return tuple(re.findall(r"cannot open '([^']+)': (?:dataset|no such pool|snapshot)", stderr))


def _listing(types: str, columns: str, options: Sequence[str]) -> tuple[str, ...]:
    return ("list", "-Hp", "-t", types, "-o", columns, *options)


def _dataset(row: dict[str, str]) -> Dataset:
    token = _told(row["receive_resume_token"])
    return Dataset(
        row["name"],
        int(row["guid"]),
        encrypted=row["encryption"] not in ("off", "-"),
        kind=DatasetKind(row["type"]),
        written=int(row["written"]) if row["written"].isdecimal() else 0,
        partial=ResumeToken(token) if token else None,
        held_for=tuple(filter(None, _told(row["ec2zfs:holds"]).split(","))),
        send=_told(row[SEND]),
    )


def _told(value: str) -> str:
    return "" if value == "-" else value
