"""A pool grown for real, in the local EC2: by replacement against what must be waited for, in place against the data.

Real OpenZFS, LUKS and ssh on an emulated machine, 2 x raidz1 of 3 with 150 MiB. By replacement (1 -> 2 GiB) the rounds
may take 1.1 times what is spent in them on attaching (at EC2 and by LUKS) and on resilvering; the rest is looking and
deciding. In place (2 -> 3 -> 4 GiB) growing with 600 MiB may take 1.25 times as long as with 150 MiB, and nothing is
resilvered. Exits with 1 above a limit.

python -m bench.growth
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ParamSpec, TypeVar
from unittest.mock import patch

import boto3
from tests.lab.upkeep import Operator, a_pool

from ec2zfs.cli.output import Words
from ec2zfs.cli.session import Session
from ec2zfs.config import load
from ec2zfs.execute.members import Members
from ec2zfs.execute.progress import Silent
from ec2zfs.execute.scans import await_scan
from ec2zfs.execute.volumes import VolumeFleet
from ec2zfs.lab.client import LabClient
from ec2zfs.lab.daemon import Options
from ec2zfs.lab.image.build import build
from ec2zfs.lab.image.recipe import recipe
from ec2zfs.lab.laboratory import down, up
from ec2zfs.lab.paths import cache_directory
from ec2zfs.plan.growth import Strategy
from ec2zfs.runs.growth import grow
from ec2zfs.runs.report import StageReport
from ec2zfs.runs.stages import Journal

POOL = "grown"
OVERHEAD = 1.1
DATA = 1.25
MORE = "cd {data} && head -c 450M /dev/urandom >more && zpool sync"
EVENTS = "TZ=UTC zpool events -H | grep -E 'resilver_(start|finish)' || true"
WHAT = ("at EC2", "by LUKS and zpool", "waiting for resilvers")

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Span:
    """What a time was spent on, from when, and how many seconds."""

    what: str
    began: datetime
    seconds: float


def timed(spans: list[Span], what: str, call: Callable[P, T]) -> Callable[P, T]:
    """The same call, whose times are noted."""

    def noted(*arguments: P.args, **named: P.kwargs) -> T:
        began = datetime.now(UTC)
        try:
            return call(*arguments, **named)
        finally:
            spans.append(Span(what, began, (datetime.now(UTC) - began).total_seconds()))

    return noted


@dataclass(frozen=True)
class Grown:
    """A growth: its stages, what its times were spent on, each resilver by ZFS's own account, and the calls to EC2."""

    stages: tuple[StageReport, ...]
    spans: tuple[Span, ...]
    resilvers: tuple[float, ...]
    calls: dict[str, int]

    @property
    def rounds(self) -> tuple[datetime, datetime]:
        """From when to when there were rounds."""
        rounds = [stage for stage in self.stages if stage.name.startswith("round ")]
        began, ended = rounds[0].started, rounds[-1].ended
        assert began
        assert ended
        return began, ended

    @property
    def spent(self) -> dict[str, float]:
        """What was spent in the rounds, in seconds."""
        began, ended = self.rounds
        inside = [span for span in self.spans if began <= span.began < ended]
        return {what: sum(span.seconds for span in inside if span.what == what) for what in WHAT}

    def seconds(self, *names: str) -> float:
        """What the stages took that are named so."""
        return sum(stage.seconds for stage in self.stages if stage.name in names)


@contextmanager
def operated() -> Iterator[Operator]:
    """A lab of its own with the pool, open, data in it and a writer at work."""
    build(recipe(), cache_directory(), print)
    directory = Path(tempfile.mkdtemp(prefix="ec2zfs-bench-", dir="/var/tmp"))
    try:
        lab = up(directory, Options(owner_pid=os.getpid()), print)
        with patch.dict(os.environ, lab.environment()):
            ec2 = boto3.client("ec2", region_name=lab.region, endpoint_url=lab.endpoint)
            with a_pool(lab, ec2, directory, POOL) as operator:
                yield operator
    finally:
        down(directory)


def grown(operator: Operator, size: int, strategy: Strategy) -> Grown:
    """Grow the pool by the product's own code, and look how long which part of it took."""
    client, spans, before = LabClient(operator.lab.endpoint), list[Span](), len(resilvers(operator))
    with ExitStack() as stack:
        session = Session(load(operator.settings), Words(Silent()), stack)
        journal = Journal(session.output)
        stack.enter_context(patch.object(VolumeFleet, "carry_out", timed(spans, WHAT[0], VolumeFleet.carry_out)))
        stack.enter_context(patch.object(Members, "carry_out", timed(spans, WHAT[1], Members.carry_out)))
        stack.enter_context(patch("ec2zfs.runs.upkeep.await_scan", timed(spans, WHAT[2], await_scan)))
        client.reset_calls()
        grow(session.upkeep, session.want(size), strategy, session.caution(), session.pool_key(), journal)
    return Grown(tuple(journal.stages), tuple(spans), tuple(resilvers(operator)[before:]), client.counts())


def resilvers(operator: Operator) -> list[float]:
    """How long each resilver lasted, as ZFS tells it."""
    lines = [line.split("\t") for line in operator.does(EVENTS).splitlines()]
    times = [(datetime.strptime(f"{at[:-3]}Z", "%b %d %Y %H:%M:%S.%f%z"), what) for at, what in lines]
    starts = [at for at, what in times if what.endswith("start")]
    ends = [at for at, what in times if what.endswith("finish")]
    return [(end - start).total_seconds() for start, end in zip(starts, ends, strict=True)]


def main() -> int:
    """Grow, print, and say whether the limits hold."""
    with operated() as operator:
        replaced = grown(operator, 2, Strategy.REPLACEMENT)
        few = grown(operator, 3, Strategy.IN_PLACE)
        operator.does(MORE)
        many = grown(operator, 4, Strategy.IN_PLACE)
    for stage in (*replaced.stages, *few.stages, *many.stages):
        print(f"{stage.seconds:6.1f} s  {stage.name}: {stage.outcome}")
    began, ended = replaced.rounds
    total, needed = (ended - began).total_seconds(), sum(replaced.spent.values())
    spent = ", ".join(f"{seconds:.1f} s {what}" for what, seconds in replaced.spent.items())
    print(f"By replacement: {total:.1f} s in rounds, of which {spent}")
    print(
        f"  ratio {total / needed:.2f} x (limit {OVERHEAD:g} x); resilvers {sum(replaced.resilvers):.1f} s, as ZFS says"
    )
    print(f"  calls: {_told(replaced.calls)}")
    in_place = [each.seconds("enlarge the volumes", "use the room") for each in (few, many)]
    print(f"In place: {in_place[0]:.1f} s with 150 MiB, {in_place[1]:.1f} s with 600 MiB (limit {DATA:g} x)")
    print(f"  resilvers {len(few.resilvers + many.resilvers)}; calls: {_told(many.calls)}")
    held = (
        total <= OVERHEAD * needed,
        in_place[1] <= DATA * in_place[0],
        not (few.resilvers or many.resilvers),
    )
    return int(not all(held))


def _told(calls: dict[str, int]) -> str:
    return ", ".join(f"{count} {action}" for action, count in sorted(calls.items()))


if __name__ == "__main__":
    sys.exit(main())
