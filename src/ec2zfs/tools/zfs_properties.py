"""`zfs get` of what is set on datasets, and `zfs set` and `zfs inherit` of what copies are to have: one execution each.

Values pass in argv or by standard input as they are, and are never part of a script's text. It lists no snapshots.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

from ec2zfs.hosts.host import Host
from ec2zfs.model.properties import Setting, Settings
from ec2zfs.plan.replication_steps import KeepProperties
from ec2zfs.tools.zfs import LISTING_LIMIT
from ec2zfs.tools.zfs_scripts import side_by_side, zfs_script

AT_ONCE = 8
"""Changes in one command: each has up to 8,447 bytes, and xargs passes on 128 KiB at most."""

LIMIT = 3600.0
"""Seconds for the changes of one run: there may be thousands of new copies."""


@dataclass(frozen=True)
class Refusal:
    """A property that a dataset was not given, or that did not leave it, and what ZFS said."""

    dataset: str
    name: str
    words: str

    def __str__(self) -> str:
        return f"{self.dataset} keeps its {self.name} as it is: {self.words}"


def settings(host: Host, datasets: Iterable[str]) -> dict[str, Settings]:
    """What is set on each dataset that exists, by its name, in one execution (`zfs get -s local,received`)."""
    names = tuple(datasets)
    if not names:
        return {}
    return parse_settings(host.run(zfs_script("zfs_properties.sh", stdin=names, timeout=LISTING_LIMIT)).text)


def parse_settings(text: str) -> dict[str, Settings]:
    """What zfs_properties.sh prints. A dataset of which a value is missing changed in between, and is left out."""
    told, _, rows = text.partition("\n\n")
    keys = [_Key(*line.split("\t")) for line in told.split("\n") if line]
    values = _values(frozenset(keys), rows)
    found: dict[str, dict[str, Setting]] = {key.dataset: {} for key in keys}
    for key in keys:
        if key.property == "type":
            continue
        if key not in values:
            found.pop(key.dataset, None)
        elif key.dataset in found:
            found[key.dataset][key.property] = _setting(key, values[key])
    return dict(found)


def keep(host: Host, changes: Sequence[KeepProperties]) -> list[Refusal]:
    """Make the changes, for all copies in one execution; what ZFS refuses harms nothing and is told."""
    if not changes:
        return []
    items = (item for change in changes for item in _items(change))
    told = host.run(side_by_side("zfs_set.sh", items=items, timeout=LIMIT)).text
    lines = told.removesuffix("\n").split("\n") if told else []
    return sorted((Refusal(*line.split("\t", 2)) for line in lines), key=lambda each: (each.dataset, each.name))


@dataclass(frozen=True)
class _Key:
    dataset: str
    property: str
    source: str


def _values(keys: frozenset[_Key], rows: str) -> dict[_Key, str | None]:
    """The value of each property; None for one with line breaks, and for one that another's value may have feigned."""
    found: list[tuple[_Key, list[str]]] = []
    for row in rows.removesuffix("\n").split("\n"):
        *words, value = row.split("\t", 3)
        key = _Key(*words) if len(words) == len(fields(_Key)) else None
        if key and key in keys:
            found.append((key, [value]))
        elif found:
            found[-1][1].append(row)
    often = Counter(key for key, _ in found)
    feigned = {key for pair in pairwise(key for key, _ in found) if often[pair[1]] > 1 for key in pair}
    return {key: None if key in feigned or lines[1:] else lines[0] for key, lines in found}


def _setting(key: _Key, value: str | None) -> Setting:
    if key.source == "temporary":  # an option of its mount hides what is set
        return Setting(None)
    return Setting(value, "" if value is not None else "a value with line breaks cannot be told from other properties")


def _items(change: KeepProperties) -> Iterator[str]:
    """What xargs hands to the script, a word for so many changes."""
    words = (*(f"{name}={value}" for name, value in change.given), *change.taken)
    for start in range(0, len(words), AT_ONCE):
        yield "\n".join((change.target, *words[start : start + AT_ONCE]))
