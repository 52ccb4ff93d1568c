"""The `zfs` commands of staging: what marks say of the staging pool, where files can be reached, and the changes.

It destroys nothing; what it rolls back is for the caller to know. Snapshots are taken by tools/zfs.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from ec2zfs.errors import CommandFailed
from ec2zfs.hosts.host import Command, Host
from ec2zfs.model.hold import STAGING
from ec2zfs.model.snapshot import Dataset, Snapshot
from ec2zfs.model.staging import (
    OF_SOURCE,
    PARENT,
    ROLE,
    SOURCE_GUID,
    TAKEN,
    UNDER_WAY,
    WALKED,
    Mount,
    StagedDataset,
    StagedSnapshot,
)
from ec2zfs.tools.zfs import LISTING_LIMIT
from ec2zfs.tools.zfs_scripts import zfs_script

FILES_ONLY = {
    "compression": "off",  # ciphertext
    "atime": "off",
    "exec": "off",
    "setuid": "off",
    "devices": "off",
    "readonly": "off",
    "canmount": "on",
    "snapdir": "hidden",
}
"""What a staged dataset is created with, beside its mount point and our marks."""

CHANGE_LIMIT = 300.0
"""Seconds for a small change, which waits for its transaction group."""

_MARKS = (OF_SOURCE, UNDER_WAY, ROLE, SOURCE_GUID, WALKED, TAKEN)
_SOME_FAILED = 123


def staged_datasets(host: Host, root: str, listed: Iterable[Dataset]) -> dict[str, StagedDataset]:
    """What our own marks say of each of the datasets below `root`, in one execution."""
    words = ("get", "-Hp", "-r", "-s", "local", "-t", "filesystem,snapshot", "-o", "name,property,value")
    command = Command.of("zfs", *words, ",".join(_MARKS), root, timeout=LISTING_LIMIT)
    marks: dict[str, dict[str, str]] = defaultdict(dict)
    for line in host.run(command).lines():
        name, prop, value = line.split("\t", 2)
        marks[name][prop] = value
    return {each.name: _staged(each, marks) for each in listed if each.name != root}


def _staged(dataset: Dataset, marks: Mapping[str, Mapping[str, str]]) -> StagedDataset:
    own, guid = marks.get(dataset.name, {}), _number(marks.get(dataset.name, {}), OF_SOURCE)
    return StagedDataset(
        dataset.name,
        guid,
        tuple(_snapshot(each, marks.get(str(each), {})) for each in dataset.snapshots),
        under_way=_number(own, UNDER_WAY) if UNDER_WAY in own else None,
        parent=own.get(ROLE) == PARENT and not guid,
        written=dataset.written,
    )


def _snapshot(snapshot: Snapshot, own: Mapping[str, str]) -> StagedSnapshot:
    walked, taken = (_time(own, name) for name in (WALKED, TAKEN))
    return StagedSnapshot(snapshot.name, _number(own, SOURCE_GUID), snapshot.createtxg, walked, taken)


def _time(marks: Mapping[str, str], name: str) -> datetime | None:
    seconds = _number(marks, name)
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def _number(marks: Mapping[str, str], name: str) -> int:
    value = marks.get(name, "")
    return int(value) if value.isdecimal() else 0


def mounts(host: Host, names: Sequence[str]) -> dict[str, Mount]:
    """How the files of each dataset can be reached, in one execution; one that is gone is left out."""
    if not names:
        return {}
    words = ("list", "-Hp", "-t", "filesystem", "-o", "name,mounted,canmount,keystatus,snapdir,mountpoint")
    script = zfs_script("zfs_each.sh", *words, stdin=names, timeout=LISTING_LIMIT)
    rows = (line.split("\t", 5) for line in host.run(replace(script, accept=frozenset({0, _SOME_FAILED}))).lines())
    return {name: Mount(mounted == "yes", *told) for name, mounted, *told in rows}


def create_parent(host: Host, name: str) -> None:
    """Make a file system that is never mounted, to stand above staged ones."""
    properties = {"canmount": "off", "mountpoint": "none", ROLE: PARENT}
    host.run(Command.of("zfs", "create", *_options(properties), name, timeout=CHANGE_LIMIT))


def create_staged(host: Host, name: str, source_guid: int, mountpoint: str) -> None:
    """Make the dataset of a source; it bears from its first moment whose it is, and that we are at work in it."""
    properties = FILES_ONLY | {"mountpoint": mountpoint, OF_SOURCE: str(source_guid), UNDER_WAY: "0"}
    host.run(Command.of("zfs", "create", *_options(properties), name, timeout=CHANGE_LIMIT))


def adopt_parent(host: Host, name: str, source_guid: int, mountpoint: str) -> None:
    """Make a dataset that only stood above others the one of a source."""
    properties = FILES_ONLY | {"mountpoint": mountpoint, OF_SOURCE: str(source_guid), UNDER_WAY: "0"}
    host.run(
        Command.of("zfs", "set", *(f"{key}={value}" for key, value in properties.items()), name, timeout=CHANGE_LIMIT)
    )


def created(host: Host, snapshot: Snapshot) -> int:
    """When a snapshot was taken, in seconds since 1970."""
    return int(host.run(Command.of("zfs", "list", "-Hp", "-t", "snapshot", "-o", "creation", str(snapshot))).text)


def mount(host: Host, name: str) -> None:
    """Mount a dataset that is not."""
    host.run(Command.of("zfs", "mount", name, timeout=CHANGE_LIMIT))


def begin_staging(host: Host, name: str, source_guid: int) -> None:
    """Note that what is written from now on is ours: the stage of the snapshot with this GUID."""
    host.run(Command.of("zfs", "set", f"{UNDER_WAY}={source_guid}", name, timeout=CHANGE_LIMIT))


def end_staging(host: Host, name: str) -> None:
    """Note that we are not at work in it any more."""
    host.run(Command.of("zfs", "inherit", UNDER_WAY, name, timeout=CHANGE_LIMIT))


def hold_base(host: Host, snapshot: Snapshot) -> None:
    """Hold a snapshot of a source against destruction; held already is well too."""
    _unless_so(host, ("zfs", "hold", STAGING, str(snapshot)), "tag already exists on this dataset")


def release_bases(host: Host, snapshots: Sequence[Snapshot]) -> None:
    """Take our hold off these; not held, or gone, is well too."""
    if snapshots:
        words = ("zfs", "release", STAGING, *map(str, snapshots))
        _unless_so(host, words, "no such tag on this dataset", "does not exist")


def _unless_so(host: Host, words: tuple[str, ...], *so: str) -> None:
    result = host.run(Command(words, timeout=LISTING_LIMIT, accept=frozenset({0, 1})))
    said = result.stderr.decode(errors="replace")
    strange = [line for line in said.splitlines() if line.strip() and not any(each in line for each in so)]
    if result.status and strange:
        raise CommandFailed(host.name, words, result.status, said)


def _options(properties: Mapping[str, str]) -> list[str]:
    return [word for name, value in properties.items() for word in ("-o", f"{name}={value}")]
