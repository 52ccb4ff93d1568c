"""One look at the datasets of a host, and the histories of those that are asked for: an execution each, however many
there are. Opening a snapshot is what takes ZFS its time, so histories are listed only where they are needed (fact 49).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from ec2zfs.errors import CommandFailed
from ec2zfs.hosts.host import Command, Host
from ec2zfs.model.properties import HELD, RECORDED
from ec2zfs.model.send_flags import SEND
from ec2zfs.model.sighting import Look, Sighting
from ec2zfs.model.snapshot import Dataset, DatasetKind, ResumeToken
from ec2zfs.plan.settled import SETTLED
from ec2zfs.tools.zfs import HISTORY_COLUMNS, LISTING_LIMIT, missing_datasets, told_version, with_history
from ec2zfs.tools.zfs_identity import IDENTITY
from ec2zfs.tools.zfs_scripts import zfs_script

FACTS = (
    "type",
    "guid",
    "encryptionroot",
    "written",
    "receive_resume_token",
    "available",
    "snapshots_changed",
)
ASKED = ",".join((*FACTS, SEND, IDENTITY, SETTLED, *sorted((HELD | RECORDED) - {"jailed"})))
"""`jailed` is what FreeBSD calls `zoned`; the script knows."""

FRESH_SECONDS = 3
"""So old must the last change of a list be, or one that comes after the look could be told with the same second."""

SOME_FAILED = 123
"""xargs's exit code when one of the commands failed: here a dataset that is gone."""


def look(host: Host, names: Sequence[str], *, recursive: bool = True) -> Look:
    """The datasets, in one execution; with all below them when `recursive`.

    Of a dataset that is not mounted, ZFS reads much anew each time that it is opened, and to find what is below it is
    opened more often than to tell of it. Raises `CommandFailed` when one does not exist: see `missing_datasets`.
    """
    script = zfs_script("zfs_look.sh", ASKED, "-r" if recursive else "-d0", stdin=names, timeout=LISTING_LIMIT)
    return replace(parse_look(host.run(script).text), whole=recursive)


def noted(host: Host, pool: str) -> str:
    """What a run wrote down on a pool ("": nothing). Raises `CommandFailed` when the pool does not exist."""
    value = host.run(Command(("zfs", "get", "-Hp", "-o", "value", SETTLED, pool), timeout=LISTING_LIMIT)).text
    return "" if value == "-\n" else value.removesuffix("\n")


def parse_look(text: str) -> Look:
    """What zfs_look.sh prints. A property that is told twice was feigned by a value: nothing is settled then."""
    head, _, rest = text.partition("\n\n")
    seconds, *version = head.split("\n")
    held, _, body = rest.partition("\n\n") if not rest.startswith("\n") else ("", "", rest.removeprefix("\n"))
    holds = {pool: value for _, pool, value in (line.split("\t", 2) for line in held.split("\n") if line)}
    rows: dict[str, dict[str, tuple[str, str]]] = defaultdict(dict)
    feigned = False
    for line in body.removesuffix("\n").split("\n"):
        words = line.split("\t", 3)
        feigned = feigned or (bool(line) and (len(words) < 4 or words[1] in rows.get(words[0], ())))
        if len(words) == 4:
            rows[words[0]].setdefault(words[1], (words[2], words[3]))
    whole = {name: row for name, row in rows.items() if {"type", "guid"} <= row.keys()}
    until = 0 if feigned else int(seconds) - FRESH_SECONDS
    sightings = {
        name: _sighting(name, row, holds.get(name.partition("/")[0], "-"), until) for name, row in whole.items()
    }
    return Look(told_version(version), sightings, {name: _number(row, "available") for name, row in whole.items()})


def histories(host: Host, datasets: Sequence[Dataset]) -> tuple[Dataset, ...]:
    """The datasets with their snapshots and bookmarks, in one execution; one that is gone meanwhile has none."""
    if not datasets:
        return ()
    words = ("list", "-Hp", "-t", "snapshot,bookmark", "-o", HISTORY_COLUMNS, "-s", "createtxg", "-d", "1")
    names = [dataset.name for dataset in datasets]
    script = zfs_script("zfs_each.sh", *words, stdin=names, timeout=LISTING_LIMIT)
    result = host.run(replace(script, accept=frozenset({0, SOME_FAILED})))
    if result.status:
        said = result.stderr.decode(errors="replace")
        error = CommandFailed(host.name, ("zfs", *words), result.status, said)
        if len(missing_datasets(error)) != len(said.strip().split("\n")):
            raise error
    return with_history(datasets, result.lines())


def _sighting(name: str, row: dict[str, tuple[str, str]], holds: str, until: int) -> Sighting:
    token, (mark_from, mark) = _fact(row, "receive_resume_token"), row.get(IDENTITY, ("", ""))
    changed = _number(row, "snapshots_changed")
    dataset = Dataset(
        name,
        _number(row, "guid"),
        encrypted=bool(_fact(row, "encryptionroot")),
        kind=DatasetKind(_fact(row, "type")),
        written=_number(row, "written"),
        partial=ResumeToken(token) if token else None,
        held_for=() if holds in ("", "-") else tuple(holds.split(",")),
        send=_fact(row, SEND),
    )
    return Sighting(
        dataset,
        changed if changed <= until else 0,
        int(mark) if mark_from == "local" and mark.isdecimal() else 0,
        _fact(row, SETTLED),
        tuple(sorted(_settings(row))),
    )


def _settings(row: dict[str, tuple[str, str]]) -> Iterator[tuple[str, str]]:
    native: Iterable[str] = (HELD | RECORDED) & row.keys()
    return ((name, f"{row[name][0]} {row[name][1]}") for name in native if row[name][0] != "-")


def _fact(row: dict[str, tuple[str, str]], name: str) -> str:
    value = row.get(name, ("", ""))[1]
    return "" if value == "-" else value


def _number(row: dict[str, tuple[str, str]], name: str) -> int:
    value = _fact(row, name)
    return int(value) if value.isdecimal() else 0
