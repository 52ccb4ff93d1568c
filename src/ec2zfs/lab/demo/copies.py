"""The copies on the receiver beside the snapshots at the site: which are to be compared, and what is in both."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor

from ec2zfs.lab.demo.machines import SITE, Machines
from ec2zfs.lab.demo.operator import DemonstrationFailed

_PLACE = "/run/copies"
_MOUNT = f"""\
set -e
number=0
for snapshot; do
  mkdir -p {_PLACE}/$number
  mount -t zfs -o ro "$snapshot" {_PLACE}/$number
  number=$((number + 1))
done
"""
_UNMOUNT = f"umount {_PLACE}/*"


def snapshots_to_compare(listed: Sequence[str], by_hand: Collection[str], sources: Collection[str]) -> list[str]:
    """Every snapshot in `listed`, which is what `zfs list` says of the sources and all below them: all are sent.

    Raises `DemonstrationFailed` when a dataset lacks one of the two days', or one of those taken by hand is missing.
    """
    datasets = [name for name in listed if "@" not in name]
    snapshots = [name for name in listed if "@" in name]
    runs = {name.partition("@")[2] for name in snapshots if "@ec2zfs_" in name}
    if len(runs) != 2 or not set(sources) <= set(datasets):
        raise DemonstrationFailed(f"Two days should have left snapshots of two names in {sources}, but see: {listed}.")
    required = {f"{dataset}@{run}" for dataset in datasets for run in runs} | set(by_hand)
    if missing := sorted(required - set(snapshots)):
        raise DemonstrationFailed(f"These snapshots should stand at the site: {missing}.")
    return snapshots


def contents(machines: Machines, receiver: str, pool: str, snapshots: Sequence[str]) -> tuple[list[str], list[str]]:
    """What is in the snapshots, at the site and through a read-only mount of their copies; both in one order.

    All are mounted together, so that each side is asked once: a login costs more than many small files.
    """
    machines.run(receiver, "sh", "-c", _MOUNT, "mount", *(f"{pool}/{snapshot}" for snapshot in snapshots))
    copies = [f"{_PLACE}/{number}" for number in range(len(snapshots))]
    originals = [f"/{snapshot.replace('@', '/.zfs/snapshot/')}" for snapshot in snapshots]
    with ThreadPoolExecutor(2) as both:
        here = both.submit(machines.manifest, SITE, *originals)
        there = both.submit(machines.manifest, receiver, *copies)
    machines.run(receiver, "sh", "-c", _UNMOUNT)
    return here.result(), there.result()
