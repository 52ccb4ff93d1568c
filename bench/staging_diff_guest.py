"""What bench/staging_diff.py has done on the lab's site: python - CONFIGURATION DATASET FILES CHANGES ROUNDS."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

from ec2zfs.cli.output import Words
from ec2zfs.cli.session import Session
from ec2zfs.config import load
from ec2zfs.execute import staging
from ec2zfs.execute.progress import Silent

IN_ONE = 1000


def zfs(*words: str) -> float:
    """Run it; the seconds that it took."""
    begun = time.perf_counter()
    subprocess.run(["zfs", *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def main(configuration: str, dataset: str, files: int, changes: int, rounds: int) -> None:
    """Make the tree, change some files again and again, and measure."""
    top = Path("/", dataset)
    for number in range(files):
        place = top / f"d{number // IN_ONE}"
        if number % IN_ONE == 0:
            place.mkdir()
        (place / f"f{number}").write_text(f"the file number {number}")
    zfs("snapshot", f"{dataset}@s0")
    brought: list[float] = []
    inner = staging._DatasetWork._brought  # noqa: SLF001 - the span that is measured

    def timed(*words: Any) -> Any:  # noqa: ANN401 - passed on as it comes
        begun = time.perf_counter()
        report = inner(*words)
        brought.append(time.perf_counter() - begun)
        return report

    encrypted, diffs, stages = 0, [], []
    with ExitStack() as connections, patch.object(staging._DatasetWork, "_brought", timed):  # noqa: SLF001
        session = Session(load(Path(configuration)), Words(Silent()), connections)
        assert session.staging
        for number in range(rounds + 1):
            if number:
                for file in sorted((top / "d0").iterdir())[:changes]:
                    file.write_text(f"changed {number}")
                zfs("snapshot", f"{dataset}@s{number}")
                zfs("diff", "-FHt", f"{dataset}@s{number - 1}", f"{dataset}@s{number}")
                diffs.append(zfs("diff", "-FHt", f"{dataset}@s{number - 1}", f"{dataset}@s{number}"))
            begun = time.perf_counter()
            report = session.staging.stage(datetime.now(UTC))
            stages.append(time.perf_counter() - begun)
            report.raise_for_errors()
            encrypted += sum(each.brought.encrypted for each in report.snapshots) if number else 0
    told = {"diff": diffs, "brought": brought[1:], "stage": stages[1:]}
    medians = {name: statistics.median(seconds) for name, seconds in told.items()}
    print(json.dumps({**medians, "first": stages[0], "encrypted": encrypted}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6]))
