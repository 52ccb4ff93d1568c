"""Planning the pruning of 100,000 snapshots beside the peers: from the listing of `zfs` to the names of what goes.

Twice: 1,000 datasets with 100 snapshots, and a single dataset that holds them all. Each tool has a process of its own,
is given the same snapshots in the columns and with the names that are its own, and keeps four fifths of each period.

- ec2zfs, bzfs, zfs-autobackup: their own code for it, called in their own Python with the listing in memory: no `zfs`
  is run, nothing is destroyed, and the start of the interpreter does not count.
- sanoid, which is one script: `sanoid --prune-snapshots --readonly --force-prune`, the whole of it, with a `zfs` that
  prints the listing, less what the same takes when the listing is empty.

zfs-autobackup thins by age and has no number to keep of each period, so another number goes. The two
fastest take turns, and their medians count; sanoid and zfs-autobackup have one turn. Exits with 1 when ours takes more
than 1 s or 200 MiB, or more than half of the best peer's time.

python -m bench.pruning_peers [TURNS]
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.peers import Peers, peers

SECONDS, MIB, HALF = 1.0, 200, 0.5
TOOLS = ("ec2zfs", "bzfs", "sanoid", "zfs-autobackup")
APART = {"hourly": 1, "daily": 24, "weekly": 7 * 24, "monthly": 31 * 24, "yearly": 366 * 24}
"""Hours between two snapshots of a period."""

FAKE_ZFS = """\
#!/bin/sh
case "$*" in
"get -Hrpt snapshot creation") exec cat "$LISTING/sanoid" ;;
"list -o name -t filesystem,volume -Hr "*) echo tank && exec cat "$LISTING/datasets" ;;
*) echo "zfs $*: not foreseen" >&2; exit 2 ;;
esac
"""
SANOID = """\
[tank]
use_template = kept
recursive = yes
process_children_only = yes
[template_kept]
autoprune = yes
"""


@dataclass(frozen=True)
class World:
    """So many datasets, each with so many snapshots of each period, of which four fifths are kept."""

    datasets: int
    snapshots: dict[str, int]

    @property
    def keeps(self) -> dict[str, int]:
        """How many of each period are kept."""
        return {period: number * 4 // 5 for period, number in self.snapshots.items()}

    @property
    def names(self) -> list[str]:
        """The datasets."""
        return [f"tank/user{number:04}" for number in range(self.datasets)]

    def history(self, now: datetime) -> list[tuple[datetime, str]]:
        """When a dataset's snapshots were taken, and of which period they are, oldest first."""
        return sorted(
            (now - timedelta(hours=APART[period] * (place + 0.5)), period)
            for period, number in self.snapshots.items()
            for place in range(number)
        )

    def __str__(self) -> str:
        return f"{self.datasets:,} x {sum(self.snapshots.values()):,} snapshots"


WORLDS = (
    World(1000, dict.fromkeys(APART, 20)),
    World(1, {"hourly": 95_000, "daily": 4_200, "weekly": 600, "monthly": 180, "yearly": 20}),
)


@dataclass(frozen=True)
class Planned:
    """What planning took: seconds, the process's peak of memory in MiB; and how many snapshots are to go."""

    seconds: float
    mib: float
    victims: int


def write(world: World, folder: Path, now: datetime) -> None:
    """Put the listings down, a file for each form of them."""
    from ec2zfs.model.snapshot_name import snapshot_name
    from ec2zfs.tools.zfs import DATASET_COLUMNS

    columns, row = DATASET_COLUMNS.split(","), {"type": "filesystem", "encryption": "off", "written": "0"}
    forms = ("ec2zfs", "rows", "bzfs", "sanoid", "zfs-autobackup", "datasets")
    files = {form: (folder / form).open("w") for form in forms}
    for number, dataset in enumerate(world.names):
        line = {**row, "name": dataset, "guid": str(number + 1)}
        files["rows"].write("\t".join(line.get(column, "-") for column in columns) + "\n")
        files["datasets"].write(f"{dataset}\n")
        for place, (taken, period) in enumerate(world.history(now)):
            name, guid, seconds = snapshot_name(taken, period), 10**12 + 10**6 * number + place, int(taken.timestamp())
            files["ec2zfs"].write(f"{dataset}@{name}\t{guid}\t{place + 1}\n")
            files["bzfs"].write(f"{seconds}\t{guid}\t{dataset}@{name}\t0\n")
            files["sanoid"].write(f"{dataset}@autosnap_{taken:%Y-%m-%d_%H:%M:%S}_{period}\tcreation\t{seconds}\t-\n")
            files["zfs-autobackup"].write(f"{dataset}@bench-{taken:%Y%m%d%H%M%S}\n")
    for file in files.values():
        file.close()
    template = "".join(f"{period} = {number}\n" for period, number in world.keeps.items())
    (folder / "sanoid.conf").write_text(SANOID + template)


def planned(tool: str, folder: Path, world: World, found: Peers) -> Planned:
    """Let a tool plan, in a process of its own."""
    if tool == "sanoid":
        return _sanoid(folder, found)
    python = sys.executable if tool == "ec2zfs" else str(found.python)
    script = str(Path(__file__).with_name("pruning_parts.py"))
    argv = [python, script, tool, str(folder), json.dumps(world.keeps)]
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True)
    return Planned(**json.loads(done.stdout.splitlines()[-1]))


def _sanoid(folder: Path, found: Peers) -> Planned:
    """The whole script with the listing, less the whole script without it."""
    program = folder / "bin" / "zfs"
    program.parent.mkdir(exist_ok=True)
    program.write_text(FAKE_ZFS)
    program.chmod(0o755)
    empty = folder / "empty"
    empty.mkdir(exist_ok=True)
    for name in ("sanoid", "datasets"):
        (empty / name).write_text("" if name == "sanoid" else (folder / name).read_text())
    full, none = (_sanoid_run(folder, listing, found) for listing in (folder, empty))
    return Planned(full.seconds - none.seconds, full.mib, full.victims)


def _sanoid_run(folder: Path, listing: Path, found: Peers) -> Planned:
    defaults = found.root / "usr/share/sanoid/sanoid.defaults.conf"
    with tempfile.TemporaryDirectory(dir=folder) as state:
        (folder / "sanoid.defaults.conf").write_bytes(defaults.read_bytes())
        places = [f"--configdir={folder}", f"--cache-dir={state}/cache", f"--run-dir={state}/run"]
        argv = [*found.perl("sanoid"), *places, "--prune-snapshots", "--readonly", "--force-prune", "--verbose"]
        environment = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "LISTING": str(listing)}
        told = Path(state) / "told"
        with told.open("w") as output:
            began = time.perf_counter()
            process = subprocess.Popen(argv, stdout=output, env=environment)
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        victims = told.read_text().count("INFO: pruning tank/")
    return Planned(seconds, usage.ru_maxrss / 1024, victims)


def main() -> int:
    """Measure in turns, print, and say whether the limits hold."""
    turns = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    found, held = peers(), []
    for world in WORLDS:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            write(world, folder, datetime.now(UTC).replace(microsecond=0))
            took: dict[str, list[Planned]] = {tool: [] for tool in TOOLS}
            for turn in range(turns):
                for tool in TOOLS if turn == 0 else TOOLS[:2]:
                    took[tool].append(planned(tool, folder, world, found))
        print(f"Planning to prune {world}, limits {SECONDS:g} s, {MIB} MiB, {HALF:g} x of the best peer:")
        print(*_lines(took, found), sep="\n", flush=True)
        held.append(_holds(took))
    return int(not all(held))


def _lines(took: dict[str, list[Planned]], found: Peers) -> Iterator[str]:
    for tool, each in took.items():
        version = "" if tool == "ec2zfs" else found.version(tool)
        figures = f"{_median(each):6.2f} s  {max(one.mib for one in each):4.0f} MiB  {each[0].victims:7,} go"
        yield f"  {tool:<15} {version:<10} {figures}  ours takes {_median(took['ec2zfs']) / _median(each):.2f} x that"


def _holds(took: dict[str, list[Planned]]) -> bool:
    mine, best = _median(took["ec2zfs"]), min(_median(each) for tool, each in took.items() if tool != "ec2zfs")
    return mine <= min(SECONDS, HALF * best) and max(one.mib for one in took["ec2zfs"]) <= MIB


def _median(planned: list[Planned]) -> float:
    return statistics.median(each.seconds for each in planned)


if __name__ == "__main__":
    sys.exit(main())
