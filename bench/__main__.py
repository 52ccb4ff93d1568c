"""Every figure of the README, each by a Python of its own: `make bench`. Exits with 1 if a limit is broken."""

from __future__ import annotations

import subprocess
import sys

FIGURES = (
    "startup",
    "volumes",
    "memory",
    "executions",
    "rounds",
    "pruning",
    "staging_plan",
    "staging",
    "encryption",
    "growth",
)


def main() -> int:
    """Run each and say which limits were broken."""
    broken = [
        name for name in FIGURES if subprocess.run([sys.executable, "-m", f"bench.{name}"], check=False).returncode
    ]
    print(f"Limits broken: {', '.join(broken)}" if broken else "Every limit holds.")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
