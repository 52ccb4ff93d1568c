"""The proofs with which the demonstration ends. Each can fail, and each search is shown to find what is there."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ec2zfs.hosts.secret import Secret
from ec2zfs.lab.demo.machines import SITE, Machines
from ec2zfs.lab.demo.operator import DemonstrationFailed
from ec2zfs.lab.demo.search import finds
from ec2zfs.tools.volume_keys import VolumeKeys


@dataclass(frozen=True)
class Proof:
    """A statement that was found true, and by what it was found."""

    statement: str
    evidence: str


def equal_copies(machines: Machines, receiver: str, pool: str, snapshots: Sequence[str]) -> Proof:
    """Every file of the snapshots is on the receiver as it is at the site: content, metadata, links, holes' sizes."""
    entries = 0
    with ThreadPoolExecutor(2) as both:
        for snapshot in snapshots:
            dataset, _, name = snapshot.partition("@")
            machines.run(receiver, "mkdir", "-p", "/run/copy")
            machines.run(receiver, "mount", "-t", "zfs", "-o", "ro", f"{pool}/{snapshot}", "/run/copy")
            places = ((SITE, f"/{dataset}/.zfs/snapshot/{name}"), (receiver, "/run/copy"))
            here, there = both.map(lambda place: machines.manifest(*place), places)
            machines.run(receiver, "umount", "/run/copy")
            if here != there:
                different = sorted(set(here) ^ set(there))
                raise DemonstrationFailed(f"{snapshot} differs in {len(different)} entries, such as: {different[0]}")
            entries += len(here)
    evidence = f"{entries:,} entries of {len(snapshots)} snapshots, content by SHA-256, through a read-only mount"
    return Proof("The receiver's copies equal the site's", evidence)


def nowhere_in_the_cloud(marker: bytes, volumes: Sequence[Path], site_disks: Sequence[Path]) -> Proof:
    """A known plaintext is in no volume's backing file, though the same search finds it on the site's disk."""
    needles = {"the plaintext": marker}
    if not finds(site_disks, needles):
        raise DemonstrationFailed(
            "The search does not find the plaintext on the site's own disk, so it proves nothing."
        )
    _require_nothing(volumes, needles)
    gib = sum(path.stat().st_blocks for path in volumes) * 512 / 2**30
    return Proof("A known plaintext is nowhere in the volumes", f"{len(volumes)} backing files, {gib:.2f} GiB of data")


def keys_nowhere(
    keys: Mapping[str, bytes], disks: Sequence[Path], records: Sequence[Path], logs: Sequence[Path]
) -> Proof:
    """No key is on the receiver's disk, in an argv or environment that was seen, or in a log."""
    for paths, known in ((disks, b"BEGIN OPENSSH PRIVATE KEY"), (records, b"cryptsetup"), (logs, b"Unlocking pool")):
        if not finds(paths, {"known": known}):
            raise DemonstrationFailed(f"The search does not find {known!r} in {paths}, so it proves nothing.")
    _require_nothing([*disks, *records, *logs], keys)
    seen = sum(path.read_bytes().count(b"\x00\x1e") for path in records)
    evidence = f"{len(disks)} root disk, argv and environment of {seen:,} processes, {len(logs)} logs and reports"
    return Proof("The pool key and the volumes' keys are nowhere", evidence)


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


def flat_copy(disk: Path, directory: Path) -> Path:
    """A root disk as the guest sees it, its base image included, so that the whole of it can be searched."""
    flat = directory / f"{disk.parent.name}.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", str(disk), str(flat)], check=True, capture_output=True)
    return flat


def _require_nothing(paths: Sequence[Path], needles: Mapping[str, bytes]) -> None:
    found = finds(paths, needles)
    if found:
        raise DemonstrationFailed(f"{found[0]}: it must not be there ({len(found)} finds in all).")
