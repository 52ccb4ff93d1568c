"""The part of each Python tool that plans the pruning, run by the tool's own interpreter for bench/pruning_peers.py.

python bench/pruning_parts.py TOOL FOLDER KEEPS: reads the listings in the folder, plans by the numbers to keep (JSON,
by period) and prints seconds, the peak of memory and the number of victims, as JSON. No `zfs` is run.
"""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

Keeps = dict[str, int]
Timed = tuple[float, int]
"""Seconds, and how many snapshots go."""


def ec2zfs(folder: Path, keeps: Keeps) -> Timed:
    """What `ec2zfs prune` does between the listings and its question about what goes."""
    import gc
    from datetime import UTC, datetime

    from ec2zfs.cli import COLLECT_AFTER
    from ec2zfs.hosts.host import Result
    from ec2zfs.model.policy import Keep, PolicyRule, Schedule, Tier
    from ec2zfs.plan.pruning import TierRules, candidates
    from ec2zfs.runs.snapshots import keeps_of
    from ec2zfs.tools.zfs import parse_datasets, with_history

    gc.set_threshold(COLLECT_AFTER)
    rule = PolicyRule(("tank",), {Tier.SITE: {period: Keep(number) for period, number in keeps.items()}})
    rows, history = (Result(0, (folder / name).read_bytes(), b"") for name in ("rows", "ec2zfs"))
    began = time.perf_counter()
    datasets = with_history(parse_datasets(rows.lines()), history.lines())
    rules = TierRules(keeps_of(Schedule(rules=(rule,)), Tier.SITE), "ec2zfs:period")
    victims = candidates(datasets, rules, datetime.now(UTC))
    return time.perf_counter() - began, len(victims)


def bzfs(folder: Path, keeps: Keeps) -> Timed:
    """`bzfs --delete-dst-snapshots-except-plan`: its task for all datasets, without the commands that it would run."""
    from bzfs_main import bzfs as program

    datasets, listings = (folder / "datasets").read_text(), by_dataset(folder / "bzfs", column=2)
    gone: dict[str, list[str]] = {}
    took: list[float] = []
    task = program.Job.delete_destination_snapshots_task

    def timed(*arguments: Any) -> bool:  # noqa: ANN401 - as bzfs calls it
        began = time.perf_counter()
        failed: bool = task(*arguments)
        took.append(time.perf_counter() - began)
        return failed

    def seen(job: Any) -> None:  # noqa: ANN401
        job.params.available_programs.update({place: {"zfs": "2.3.2"} for place in ("src", "dst", "local")})
        job.params.zpool_features.update({"src": {}, "dst": {"tank": {}}})

    def deleted(_job: object, _remote: object, dataset: str, snapshot_tags: list[str]) -> None:
        gone[dataset] = snapshot_tags

    plan = repr({"ec2zfs": {"": keeps}})
    sys.argv[1:] = ["dummy", "tank", "--recursive", "--dryrun", "--skip-replication", "--delete-dst-snapshots"]
    sys.argv += ["--delete-dst-snapshots-except-plan", plan, "--no-privilege-elevation", "--quiet"]
    sys.argv += ["--log-dir", str(folder / "bzfs-logs")]
    with (
        patch.object(program, "detect_available_programs", seen),
        patch.object(
            program,
            "delete_snapshots",
            deleted,
        ),
        patch.object(program.Job, "delete_destination_snapshots_task", timed),
        patch.object(program.Job, "try_ssh_command", lambda _job, _remote, _level, cmd, **_: listings[cmd[-1]]),
        patch.object(program.Job, "try_ssh_command_with_retries", lambda *_, **__: datasets),
    ):
        program.main()
    return took[0], sum(map(len, gone.values()))


def zfs_autobackup(folder: Path, keeps: Keeps) -> Timed:
    """The thinner of zfs-autobackup for the source: each dataset's listing, and which of its snapshots are obsolete."""
    from zfs_autobackup.LogStub import LogStub
    from zfs_autobackup.Thinner import Thinner
    from zfs_autobackup.ZfsNode import ZfsNode

    spans = {"hourly": "1h{}h", "daily": "1d{}d", "weekly": "1w{}w", "monthly": "1m{}m", "yearly": "1y{}y"}
    schedule = ",".join(spans[period].format(number) for period, number in keeps.items())
    listings = by_dataset(folder / "zfs-autobackup", column=0)

    class Node(ZfsNode):  # type: ignore[misc]
        def run(self, cmd: list[str], **_: object) -> list[str]:
            return listings[cmd[-1]].splitlines()

    node = Node(
        utc=True,
        snapshot_time_format="bench-%Y%m%d%H%M%S",
        hold_name="zfs_autobackup:bench",
        logger=LogStub(),
        thinner=Thinner(schedule),
    )
    began, victims = time.perf_counter(), 0
    for name in listings:
        dataset = node.get_dataset(name, force_exists=True)
        victims += len(dataset.thin_list(keeps=dataset.our_snapshots[-1:])[1])
    return time.perf_counter() - began, victims


PARTS: dict[str, Callable[[Path, Keeps], Timed]] = {"ec2zfs": ec2zfs, "bzfs": bzfs, "zfs-autobackup": zfs_autobackup}


def by_dataset(listing: Path, column: int) -> dict[str, str]:
    """The lines of each dataset, by its name, which stands in that column before the `@`."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in listing.read_text().splitlines():
        found[line.split("\t")[column].partition("@")[0]].append(line)
    return {dataset: "".join(f"{line}\n" for line in lines) for dataset, lines in found.items()}


def peak_mib() -> float:
    """The highest resident size of this process since it began to run this program (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def main() -> None:
    """Plan and tell."""
    tool, folder, keeps = sys.argv[1:]
    seconds, victims = PARTS[tool](Path(folder), json.loads(keeps))
    print(json.dumps({"seconds": seconds, "mib": peak_mib(), "victims": victims}))


if __name__ == "__main__":
    main()
