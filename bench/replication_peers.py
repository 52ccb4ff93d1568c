"""Replication beside the peers, on real ZFS in the lab: nothing to do, many small changes, and one large first copy.

Pools in the site's machine are two hosts to all of them: each tool runs here, in a process of its own, and reaches
both by ssh in its own way. They take turns on the same copies. Ours is the product's `Replicator` as `ec2zfs backup`
runs it, with as many streams: observe, plan, run. bzfs is told to end its connections with the run, as ours do: a daily
run finds none that stands. First copies are made by turns, since the machine's speed changes: each tool makes some, the
bare pipeline one before each round and one after all, and means count. Exits with 1 when ours is not at most half of
the best peer's time with nothing to do, not ahead of it with small changes, or under 0.9 of
`zfs send | ssh | zfs receive` with the first copy.

python -m bench.replication_peers [--datasets 1000] [--snapshots 20] [--changed 100] [--mib 1024] [TOOL …]
"""

from __future__ import annotations

import argparse
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench.peers import Peers, peers
from tests.lab.zfs_ends import Ends, reached

from ec2zfs.hosts.host import Command
from ec2zfs.lab.daemon import Options
from ec2zfs.lab.description import SiteAccess, read
from ec2zfs.lab.image.build import build
from ec2zfs.lab.image.recipe import recipe
from ec2zfs.lab.laboratory import down, up
from ec2zfs.lab.paths import cache_directory
from ec2zfs.model.replication import MOST_STREAMS

OURS, NOTED, CACHED = "ec2zfs", "ec2zfs, once more", "bzfs --cache-snapshots"
BARE = "zfs send | ssh | zfs receive"
TURNS = 3
TOOLS = (OURS, "bzfs", "syncoid", "zfs-autobackup")
CHANGE = """\
set -eu
for folder in /mnt/changedsite/changed/*/; do echo "$1" >"$folder/note"; done
zfs snapshot -r "changedsite/changed@$1"
"""
FULL = """\
set -eu
zfs create fullsite/full
head -c "${1}M" /dev/urandom >/mnt/fullsite/full/data
zfs snapshot fullsite/full@first
zfs set autobackup:full=true fullsite/full
"""
GONE = """\
zfs destroy -r fullcloud/fullsite/full || true
zpool wait -t free fullcloud
zpool trim -w fullcloud
"""
"""Without the trim the copies that were would fill the machine's disk, on which the pools are files."""


@dataclass(frozen=True)
class Turn:
    """What a tool took in seconds, or None and why there is no figure."""

    tool: str
    seconds: float | None
    words: str = ""


@dataclass(frozen=True)
class Course:
    """Where it is all run: the machine's two ends, the peers, a folder for what they write, and their longest time."""

    ends: Ends
    access: SiteAccess
    lab: Path
    identity: str
    peers: Peers
    folder: Path
    limit: float
    snapshots: int

    def command(self, tool: str, tree: str) -> list[str]:
        """How a tool brings a tree's copy up to it."""
        source, target = f"{tree}site/{tree}", f"{tree}cloud/{tree}site/{tree}"
        user = f"{self.access.user}@"
        if tool in (OURS, NOTED):
            return [sys.executable, "-m", "bench.replication_peers", "--ours", str(self.lab), tree]
        if tool in ("bzfs", CACHED):
            config = str(self.folder / "bzfs_ssh_config")
            options = [
                "--recursive",
                "--quiet",
                "--no-privilege-elevation",
                "--ssh-exit-on-shutdown",
                "--log-dir",
                str(self.folder / "bzfs-logs"),
            ]
            ways = ["--ssh-src-config-file", config, "--ssh-dst-config-file", config]
            more = ["--cache-snapshots"] if tree == "many" else []
            return [self.peers.script("bzfs"), f"{user}site:{source}", f"{user}cloud:{target}", *options, *ways, *more]
        if tool == "syncoid":
            known = f"UserKnownHostsFile={self.access.known_hosts}"
            port, alias = f"--sshport={self.access.port}", f"--sshoption=HostKeyAlias={self.access.alias}"
            ways = [port, f"--sshkey={self.identity}", f"--sshoption={known}", alias]
            options = ["--recursive", "--no-sync-snap", "--no-rollback", "--compress=none", "--quiet"]
            ends = [f"{user}{self.access.address}:{source}", f"{user}{self.access.address}:{target}"]
            return [*self.peers.perl("syncoid"), *options, *ways, *ends]
        ways = ["--ssh-config", str(self.folder / "ssh_config"), "--ssh-source", "site", "--ssh-target", "cloud"]
        options = ["--no-snapshot", "--other-snapshots", "--no-thinning", "--no-holds", "--no-guid-check"]
        return [self.peers.script("zfs-autobackup"), *options, *ways, tree, f"{tree}cloud"]

    def prepare(self, datasets: int, changed: int) -> None:
        """Make the pools, and give both ends the buffer that peers look for."""
        put = ("sh", "-c", "cat >/usr/local/bin/mbuffer && chmod 755 /usr/local/bin/mbuffer")
        self.ends.site.run(Command(put, stdin=self.peers.mbuffer.read_bytes()))
        script = Path(__file__).with_name("peers_pools.sh").read_text()
        words = (str(datasets), str(self.snapshots), str(changed))
        self.ends.site.run(Command(("sh", "-c", script, "peers_pools.sh", *words), timeout=3600.0))
        subprocess.run([*self._ssh, "site", "zfs list -r >/dev/null"], check=True)  # nobody is first
        for tree in ("many", "changed"):  # ours marks copies that others made, and records properties, once
            subprocess.run(self.command(OURS, tree), check=True, stdout=subprocess.DEVNULL)

    def nothing(self, tools: Sequence[str]) -> Iterator[Turn]:
        """Let each find that there is nothing to do. Two go on with what they noted, by turns, and their medians count:
        whoever comes first finds the caches of ZFS full of what others asked for.
        """
        for tool in tools:
            yield self._timed(tool, self.command(tool, "many"))
        again = [again for tool, again in ((OURS, NOTED), ("bzfs", CACHED)) if tool in tools]
        turns = [[self._timed(tool, self.command(tool, "many")) for tool in again] for _ in range(TURNS)]
        for of_one in zip(*turns, strict=True):
            failed = next((turn for turn in of_one if turn.seconds is None), None)
            yield failed or sorted(of_one, key=lambda turn: turn.seconds or 0.0)[TURNS // 2]

    def changes(self, tools: Sequence[str]) -> Iterator[Turn]:
        """Let each send one small change of every dataset."""
        for number, tool in enumerate(tools):
            name = f"change-{number}"
            self.ends.sh(CHANGE, name)
            yield self._whole(self._timed(tool, self.command(tool, "changed")), "changed", name)

    def firsts(self, tools: Sequence[str], mib: int) -> Iterator[Turn]:
        """Let the bare pipeline and each tool make the first copy of so many MiB, by turns."""
        self.ends.sh(FULL, str(mib))
        for tool in (*(BARE, *tools) * TURNS, BARE):
            turn = self.raw() if tool == BARE else self._timed(tool, self.command(tool, "full"))
            yield self._whole(turn, "full", "first")
            self.ends.sh(GONE)

    def raw(self) -> Turn:
        """The bare pipeline of the first copy, over connections that stand."""
        for host in ("site", "cloud"):
            subprocess.run([*self._ssh, host, "true"], check=True)
        ssh = shlex.join(self._ssh)
        line = f"{ssh} site zfs send -L -e -c fullsite/full@first | {ssh} cloud zfs receive -u fullcloud/fullsite/full"
        return self._timed(BARE, ["sh", "-c", line])

    def _whole(self, turn: Turn, tree: str, snapshot: str) -> Turn:
        """The turn, if every dataset of the tree has the snapshot on both sides."""
        here, there = (self._count(f"{top}/{tree}@{snapshot}") for top in (f"{tree}site", f"{tree}cloud/{tree}site"))
        return turn if here == there else Turn(turn.tool, None, f"{turn.words} {there} of {here} copies are there")

    def _count(self, snapshot: str) -> int:
        """How many datasets of a tree have the snapshot."""
        dataset, _, name = snapshot.partition("@")
        count = 'zfs list -H -r -t snapshot -o name "$1" 2>/dev/null | grep -c "@$2$" || true'
        return int(self.ends.sh(count, dataset, name))

    @property
    def _ssh(self) -> list[str]:
        return ["ssh", "-F", str(self.folder / "ssh_config")]

    def _timed(self, tool: str, argv: list[str]) -> Turn:
        began = time.perf_counter()
        try:
            done = subprocess.run(
                argv, env=self.peers.environment, capture_output=True, text=True, timeout=self.limit, check=False
            )
        except subprocess.TimeoutExpired:
            return Turn(tool, None, f"not done in {self.limit / 60:.0f} minutes")
        seconds = time.perf_counter() - began
        if done.returncode:
            return Turn(tool, None, f"ended with {done.returncode}: {(done.stderr or done.stdout)[-600:].strip()}")
        return Turn(tool, seconds)


@contextmanager
def course(limit: float, snapshots: int) -> Iterator[Course]:
    """A lab of its own, whose site is reached as two hosts."""
    found = peers()
    build(recipe(), cache_directory(), print)
    directory = Path(tempfile.mkdtemp(prefix="ec2zfs-bench-", dir="/var/tmp"))
    try:
        lab = up(directory, Options(owner_pid=os.getpid()), print)
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="peers-", dir="/var/tmp")))
            ends = Ends(*(stack.enter_context(reached(name, lab, folder)) for name in ("site", "receiver")))
            assert lab.site
            for name, more in (("bzfs_ssh_config", ""), ("ssh_config", MASTER.format(folder=folder))):
                written = folder / name
                written.write_text(
                    "".join(
                        HOST.format(name=each, key=lab.identity, **vars(lab.site)) + more for each in ("site", "cloud")
                    )
                )
                written.chmod(0o600)
            yield Course(ends, lab.site, directory, lab.identity, found, folder, limit, snapshots)
    finally:
        down(directory)


HOST = """\
Host {name}
  HostName {address}
  Port {port}
  User {user}
  IdentityFile {key}
  UserKnownHostsFile {known_hosts}
  HostKeyAlias {alias}
"""
MASTER = """\
  ControlMaster auto
  ControlPath {folder}/m-%n
  ControlPersist 60
"""


def ours(directory: Path, tree: str) -> None:
    """Be the controller, as `ec2zfs backup` is while it replicates."""
    from ec2zfs.model.source import Source

    lab = read(directory)
    assert lab
    with tempfile.TemporaryDirectory(dir="/var/tmp") as sockets, ExitStack() as stack:
        ends = Ends(*(stack.enter_context(reached(name, lab, Path(sockets))) for name in ("site", "receiver")))
        replicator = replace(ends.replicator(f"{tree}cloud"), streams=MOST_STREAMS)
        report = replicator.run(replicator.plan(replicator.observe([Source(f"{tree}site/{tree}")])))
    report.raise_for_errors()
    print(f"{report.steps} streams")


def main() -> int:
    """Measure, print a table a figure, and say whether the limits hold."""
    asked = _arguments()
    if asked.ours:
        ours(Path(asked.ours[0]), asked.ours[1])
        return 0
    tools = asked.tools or TOOLS
    with course(60.0 * asked.minutes, asked.snapshots) as run:
        run.prepare(asked.datasets, asked.changed)
        print(f"In an emulated machine: {', '.join(run.ends.sh('uname -sr; zfs version').split(chr(10)))}")
        for tool in tools:
            print(f"  {tool}: {shlex.join(run.command(tool, 'TREE'))}")
        many = f"{asked.datasets} datasets x {asked.snapshots} snapshots, nothing to do"
        held = (
            _table(f"{many} (limit 0.5 x the best peer)", run.nothing(tools), 0.5),
            _table(f"{asked.changed} datasets with one small change each (limit 1 x)", run.changes(tools), 1.0),
            _table(f"a first copy of {asked.mib} MiB (limit 1.11 x of {BARE})", run.firsts(tools, asked.mib), 1 / 0.9),
        )
    return int(not all(held))


def _table(what: str, turns: Iterator[Turn], limit: float) -> bool:
    """Print the turns as they come; whether ours is within the limit, against the bare pipeline or the best peer."""
    print(what, flush=True)
    turned = defaultdict[str, list[float]](list)
    for turn in turns:
        if turn.seconds is None:
            print(f"  {turn.tool:<30} {turn.words}", flush=True)
            continue
        turned[turn.tool].append(turn.seconds)
        print(f"  {turn.tool:<30} {turn.seconds:8.1f} s", flush=True)
    took = {tool: statistics.mean(seconds) for tool, seconds in turned.items()}
    first, again = took.pop(OURS, None), took.pop(NOTED, None)
    mine = again or first
    against = took.get(BARE) or min(took.values(), default=None)
    if mine is None or against is None:
        return False
    print(f"  {OURS} took {mine / against:.2f} x as long")
    return mine <= limit * against


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.replication_peers")
    parser.add_argument("--datasets", type=int, default=1000, help="datasets with nothing to do (1000)")
    parser.add_argument("--snapshots", type=int, default=20, help="snapshots of each of these, up to 28 (20)")
    parser.add_argument("--changed", type=int, default=100, help="datasets with a small change (100)")
    parser.add_argument("--mib", type=int, default=1024, help="size of the first copy in MiB (1024)")
    parser.add_argument("--minutes", type=int, default=30, help="after which a tool is ended (30)")
    parser.add_argument("--ours", nargs=2, metavar=("LAB", "TREE"), help=argparse.SUPPRESS)
    parser.add_argument("tools", nargs="*", choices=(*TOOLS, []), help="only these")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
