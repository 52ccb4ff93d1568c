"""How long `ec2zfs --help` and `--version` take against an empty Python, side by side. Exits with 1 above three times.

python bench/startup.py [RUNS]
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

LIMIT = 3.0
PYTHON = "python3 -c pass"


def commands() -> dict[str, list[str]]:
    """What is measured: the console script beside this interpreter, and the interpreter alone."""
    beside = Path(sys.executable).with_name("ec2zfs")
    script = str(beside) if beside.exists() else shutil.which("ec2zfs")
    if script is None:
        raise SystemExit("ec2zfs is not installed beside this Python: run `make ready-check`.")
    return {
        PYTHON: [sys.executable, "-c", "pass"],
        "ec2zfs --help": [script, "--help"],
        "ec2zfs --version": [script, "--version"],
    }


def medians(runs: int) -> dict[str, float]:
    """Median wall time of each command in seconds. They take turns, so that a busy machine is slow for all of them."""
    taken: dict[str, list[float]] = {name: [] for name in commands()}
    for _ in range(runs):
        for name, argv in commands().items():
            began = time.perf_counter()
            subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)
            taken[name].append(time.perf_counter() - began)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def report(measured: Mapping[str, float]) -> list[str]:
    """A line a command: its median and its ratio to the empty Python."""
    base = measured[PYTHON]
    return [f"{name:<18} {1000 * took:6.1f} ms   {took / base:4.2f} x" for name, took in measured.items()]


def main() -> int:
    """Measure, print, and say whether the limit holds."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 31
    measured = medians(runs)
    print(f"Start-up, median of {runs} runs each (limit {LIMIT:g} x):", *report(measured), sep="\n")
    return int(max(measured.values()) > LIMIT * measured[PYTHON])


if __name__ == "__main__":
    sys.exit(main())
