"""How much of a simulated long line the accelerated stream fills, side by side with iperf3, ssh and mbuffer | ssh.

Needs root (network namespaces), gcc and iproute2; iperf3 and mbuffer are installed from Debian when they are missing.
Every rate is the receiving command's: bytes over the time from its start to the end of its input. iperf3 tells its own.
Exits with 1 below a limit.

python -m bench.line_speed [SECONDS [LINE …]]   (lines are counted from 1)
"""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.line import Line, Shape, line
from bench.line_peers import giving, iperf3, noted, require_programs, ssh, taking

from ec2zfs.hosts.host import Command, Stage
from ec2zfs.transport.direct import DirectTransport

SECONDS = 25.0
PEERS = {
    "iperf3 cubic x 1": ("cubic", 1),
    "iperf3 cubic x 8": ("cubic", 8),
    "iperf3 cubic x 16": ("cubic", 16),
    "iperf3 cubic x 32": ("cubic", 32),
    "iperf3 bbr x 1": ("bbr", 1),
    "iperf3 bbr x 8": ("bbr", 8),
}
CUBIC = ("iperf3 cubic x 8", "iperf3 cubic x 16", "iperf3 cubic x 32")
BBR, PLAIN, SSH = "ec2zfs direct", "ec2zfs direct, without bbr", "ssh aes128-gcm"

Rates = dict[str, float]


@dataclass(frozen=True)
class Limit:
    """At least so many times the best of some peers."""

    ours: str
    times: float
    peers: tuple[str, ...]

    def judged(self, rates: Rates) -> tuple[str, bool]:
        """A sentence for it, and whether it holds."""
        best = max(self.peers, key=lambda name: rates[name])
        ratio = rates[self.ours] / rates[best]
        holds = ratio >= self.times
        return f"{self.ours}: {ratio:.2f} x {best} (limit {self.times:g}){'' if holds else '  MISSED'}", holds


@dataclass(frozen=True)
class Case:
    """A line, and what is asked for on it."""

    shape: Shape
    limits: tuple[Limit, ...]


OF_ALL = Limit(BBR, 0.9, tuple(PEERS))
CASES = (
    Case(
        Shape(rate=400, round_trip=80, loss=500),
        (Limit(BBR, 0.92, ("iperf3 bbr x 8",)), Limit(BBR, 25, (SSH,)), Limit(PLAIN, 0.9, CUBIC)),
    ),
    Case(Shape(rate=1000, round_trip=20, loss=0), (OF_ALL,)),
    Case(Shape(rate=100, round_trip=200, loss=10000), (OF_ALL,)),
    Case(Shape(rate=50, round_trip=30, loss=0), (OF_ALL,)),
)


@dataclass(frozen=True)
class Measuring:
    """One line that is up: what each program carries over it in Mbit/s."""

    up: Line
    shape: Shape
    seconds: float
    folder: Path

    def ours(self, congestion: str) -> float:
        """The product's own transport between the two ends."""
        transport = DirectTransport(
            python=sys.executable, congestion=congestion, reached=lambda _host, port: (self.up.far.address, port)
        )
        note = self.folder / "taken"
        transport.carry(
            Stage(self.up.near, Command(giving(2 * self.seconds, self._most), timeout=None)),
            Stage(self.up.far, Command(taking(note), timeout=None)),
            lambda _: None,
        )
        return noted(note)

    def limit_of_the_line(self, congestion: str, flows: int) -> float:
        """Bare TCP connections."""
        self.up.hosts_on(congestion)
        try:
            words = ("-t", f"{self.seconds:g}", "-P", str(flows))
            return iperf3(self.up.near.within(()), self.up.far.within(()), self.up.far.address, words)
        finally:
            self.up.hosts_on("cubic")

    def all(self) -> Iterator[tuple[str, Callable[[], float]]]:
        """What is measured, in turns of ours and others'."""
        near, far = self.up.near.within(()), self.up.far.within(())
        with ssh(self.folder, self.up.far.address, near, far) as peer:
            yield SSH, lambda: peer.rate(self.seconds, self._most)
            yield "mbuffer | ssh", lambda: peer.rate(self.seconds, self._most, buffered=True)
        for name, (congestion, flows) in PEERS.items():
            yield name, partial(self.limit_of_the_line, congestion, flows)
            if name == "iperf3 cubic x 16":
                yield PLAIN, lambda: self.ours("")
        yield BBR, lambda: self.ours("bbr")

    @property
    def _most(self) -> int:
        return int(self.shape.rate * 1e6 / 8 * self.seconds)


def measured(case: Case, seconds: float) -> bool:
    """Measure on one line and print it; whether its limits hold."""
    print(f"{case.shape.name}, {seconds:g} s each, in Mbit/s:", flush=True)
    rates: Rates = {}
    with tempfile.TemporaryDirectory() as folder, line(case.shape) as up:
        for name, measure in Measuring(up, case.shape, seconds, Path(folder)).all():
            rates[name] = measure()
            print(f"  {name:<28} {rates[name]:7.1f}", flush=True)
    sentences, holds = zip(*(limit.judged(rates) for limit in case.limits), strict=True)
    print(*(f"  {sentence}" for sentence in sentences), sep="\n", flush=True)
    return all(holds)


def main(arguments: list[str]) -> int:
    """Measure on every line, or on some; 1 if a limit does not hold."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the namespaces go
    require_programs()
    seconds = float(arguments[0]) if arguments else SECONDS
    chosen = [CASES[int(word) - 1] for word in arguments[1:]] or CASES
    held = [measured(case, seconds) for case in chosen]
    return int(not all(held))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
