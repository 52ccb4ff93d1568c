"""The proofs with which the demonstration ends. Each can fail, and each search is shown to find what is there."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ec2zfs.hosts.secret import Secret
from ec2zfs.lab.demo.operator import DemonstrationFailed
from ec2zfs.lab.demo.search import finds
from ec2zfs.lab.machines.process import processes_of
from ec2zfs.tools.volume_keys import VolumeKeys

LUKS_MAGIC = b"LUKS\xba\xbe"


@dataclass(frozen=True)
class Proof:
    """A statement that was found true, and by what it was found."""

    statement: str
    evidence: str


@dataclass(frozen=True)
class Control:
    """What is known to be in a file: a search that does not find it there would not find a key either."""

    path: Path
    known: bytes


@dataclass(frozen=True)
class Traces:
    """All files that were left behind; the controls of those that matter most; and the records of processes."""

    files: tuple[Path, ...]
    controls: tuple[Control, ...]
    records: tuple[Path, ...]


def equal_copies(snapshots: Sequence[str], here: Sequence[str], there: Sequence[str], least: int) -> Proof:
    """Every file of the snapshots is on the receiver as it is at the site: content, metadata, links, holes' sizes.

    `here` and `there` are manifests of all snapshots, in that order; fewer than `least` entries are not all files.
    """
    seen = {line.partition(" ")[0] for line in here}
    if seen != set(map(str, range(len(snapshots)))) or len(here) < least:
        raise DemonstrationFailed(
            f"Of {snapshots} only {len(here)} entries were seen at the site, so they prove nothing."
        )
    if list(here) != list(there):
        different = sorted(set(here) ^ set(there))
        which = snapshots[int(different[0].partition(" ")[0])] if different else snapshots
        raise DemonstrationFailed(f"{which} differs; in all {len(different)} entries do, such as: {different[:1]}")
    evidence = f"{len(here):,} entries of {len(snapshots)} snapshots, content by SHA-512, through a read-only mount"
    return Proof("The receiver's copies equal the site's", evidence)


def only_the_difference(reports: Sequence[Mapping[str, Any]], least: int) -> Proof:
    """The reports of two days: on the first, the `least` bytes of the sources or more were sent, on the second few."""
    sent = [int(report["bytes_sent"] or 0) for report in reports]
    if len(sent) != 2 or sent[0] < least or not 0 < sent[1] < sent[0] / 10:
        raise DemonstrationFailed(f"Two days should have sent {least:,} bytes or more, then few, but sent {sent}.")
    return Proof("The second day sent only the difference", f"{sent[1]:,} bytes, after {sent[0]:,} on the first day")


def nowhere_in_the_cloud(
    marker: bytes, site_disks: Sequence[Path], volumes: Sequence[Path], count: int, least: int
) -> Proof:
    """A known plaintext is in no volume's backing file, though the same search finds it on the site's disk.

    There are `count` volumes; each begins with a LUKS header, and together they hold at least `least` bytes of data.
    """
    if not finds(site_disks, {"the plaintext": marker}):
        raise DemonstrationFailed("The search does not find the plaintext on the site's disk, so it proves nothing.")
    headers = [find.path for find in finds(volumes, {"a LUKS header": LUKS_MAGIC}) if find.offset == 0]
    if len(volumes) != count or headers != list(volumes):
        raise DemonstrationFailed(f"{count} volumes should begin with a LUKS header; of {len(volumes)}, {headers} do.")
    data = sum(path.stat().st_blocks for path in volumes) * 512
    if data < least:
        raise DemonstrationFailed(f"The volumes hold {data:,} bytes, less than the sources: the data is elsewhere.")
    _require_nothing(volumes, {"the plaintext": marker})
    evidence = f"{count} backing files, a LUKS header in each, {data / 2**30:.2f} GiB of data"
    return Proof("A known plaintext is nowhere in the volumes", evidence)


def keys_nowhere(keys: Mapping[str, bytes], traces: Traces) -> Proof:
    """No key is in any file that was left behind: disks, argv and environments that were seen, logs, reports."""
    if not keys or not traces.controls or not traces.records:
        raise DemonstrationFailed("There is no key to look for, or nothing in which it could be.")
    for path, known in ((control.path, control.known) for control in traces.controls):
        if path not in traces.files or not finds([path], {"known": known}):
            raise DemonstrationFailed(f"The search does not find {known!r} in {path}, so it proves nothing.")
    _require_nothing(traces.files, keys)
    seen = sum(path.read_bytes().count(b"\x00\x1e") for path in traces.records)
    gib = sum(path.stat().st_blocks for path in traces.files) * 512 / 2**30
    evidence = (
        f"{len(keys)} forms of them in {len(traces.files)} files ({gib:.2f} GiB): disks, consoles, journals, logs,"
        f" reports, argv and environment of {seen:,} processes"
    )
    return Proof("The pool key and the volumes' keys are nowhere", evidence)


def stopped(instances: Sequence[Mapping[str, Any]]) -> Proof:
    """EC2 shows the one receiver, and that it is stopped."""
    states = [str(each["state"]) for each in instances]
    if states != ["stopped"]:
        raise DemonstrationFailed(f"The receiver should be stopped, but EC2 says: {states}.")
    return Proof("The receiver is stopped", f"EC2 says so of {len(states)} instance")


def nothing_left(directory: Path, before: Sequence[int]) -> Proof:
    """The lab's directory is gone, and every process that names it; `before` are those that did while it was up."""
    if not before:
        raise DemonstrationFailed(
            "No process of the lab was seen while it was up, so that none is seen proves nothing."
        )
    if directory.exists():
        raise DemonstrationFailed(f"The lab is down, but {directory} is still there.")
    if left := processes_of(directory):
        raise DemonstrationFailed(f"The lab is down, but these processes of {directory} still run: {left}.")
    return Proof("Nothing is left", f"of {len(before)} processes none, and no file but the image in the cache")


def key_forms(pool_key: Secret, pool: str, mappings: Sequence[str]) -> dict[str, bytes]:
    """Every key as bytes, hexadecimal and base64."""
    keys = {"the pool key": pool_key.reveal()}
    keys |= {f"the key of {name}": VolumeKeys(pool_key, pool).key(name).reveal() for name in mappings}
    forms: dict[str, bytes] = {}
    for name, key in keys.items():
        forms[name] = key
        forms[f"{name} (hexadecimal)"] = key.hex().encode()
        forms[f"{name} (base64)"] = base64.b64encode(key).rstrip(b"=")
    return forms


def _require_nothing(paths: Sequence[Path], needles: Mapping[str, bytes]) -> None:
    found = finds(paths, needles)
    if found:
        raise DemonstrationFailed(f"{found[0]}: it must not be there ({len(found)} finds in all).")
