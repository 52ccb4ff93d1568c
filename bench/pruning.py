"""Judges 100,000 snapshots from the listing that `zfs` prints: seconds, and the memory of the process, at most."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from ec2zfs.model.period import STANDARD
from ec2zfs.model.policy import Schedule, Tier
from ec2zfs.model.snapshot_name import snapshot_name
from ec2zfs.plan.pruning import TierRules, candidates
from ec2zfs.runs.snapshots import keeps_of
from ec2zfs.tools.zfs import DATASET_COLUMNS, parse_datasets, with_history

DATASETS, SNAPSHOTS = 1000, 100
SECONDS, MIB = 1.0, 200
NOW = datetime(2026, 11, 25, 2, 17, tzinfo=UTC)
ROW = {"type": "filesystem", "encryption": "off", "written": "0"}


def main() -> int:
    """Measure and compare with the limits."""
    columns = DATASET_COLUMNS.split(",")
    rows = [
        "\t".join({**ROW, "name": name, "guid": str(number)}.get(column, "-") for column in columns)
        for number, name in enumerate(_datasets())
    ]
    history = list(_history())
    began, worked = time.perf_counter(), time.process_time()
    datasets = with_history(parse_datasets(rows), history)
    victims = candidates(datasets, TierRules(keeps_of(Schedule(), Tier.SITE), "ec2zfs:period"), NOW)
    seconds, worked = time.perf_counter() - began, time.process_time() - worked
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{len(history):,} snapshots of {len(rows):,} datasets, {len(victims):,} of them to go:", end=" ")
    print(f"{seconds:.2f} s, {worked:.2f} s of work (limit {SECONDS:g} s);", end=" ")
    print(f"{mib:.0f} MiB with the listing itself (limit {MIB} MiB)")
    return int(seconds > SECONDS or mib > MIB or not victims)


def _datasets() -> Iterator[str]:
    yield from (f"tank/home/user{number:04}" for number in range(DATASETS))


def _history() -> Iterator[str]:
    periods = [period.name for period in STANDARD]
    for number, dataset in enumerate(_datasets()):
        for place in range(SNAPSHOTS):
            name = snapshot_name(NOW - timedelta(hours=SNAPSHOTS - place), periods[place % len(periods)])
            yield f"{dataset}@{name}\t{number * SNAPSHOTS + place + 1}\t{place + 1}"


if __name__ == "__main__":
    sys.exit(main())
