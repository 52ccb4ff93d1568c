"""A long line between two network namespaces of this machine, and hosts at its ends. Needs root, gcc and iproute2.

The namespaces are named after this process, and go when the `with` ends, however it ends. The line is bench/wan.c; TCP
at both ends is the kernel's own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ec2zfs.errors import Ec2zfsError
from ec2zfs.hosts.host import Command, Result
from ec2zfs.hosts.local import LocalHost

NEAR, FAR = "10.9.0.1", "10.9.0.2"
_SOURCE = Path(__file__).with_name("wan.c")
_QUEUE_MILLISECONDS = 100
_SETTINGS = ("net.ipv4.tcp_rmem=4096 131072 33554432", "net.ipv4.tcp_wmem=4096 65536 33554432")
"""Of both hosts, and so of every peer: buffers that are large enough for long lines."""


@dataclass(frozen=True)
class Shape:
    """`rate` in Mbit/s, `round_trip` in ms; `loss`: so many packets of a million are lost at random, each way."""

    rate: float
    round_trip: float
    loss: int

    @property
    def name(self) -> str:
        """As a table shows it."""
        return f"{self.rate:g} Mbit/s, {self.round_trip:g} ms, {self.loss / 10000:g} % loss"


@dataclass(frozen=True)
class Side:
    """One end of the line, as a `Host`: every command runs in its namespace, the program itself on this machine."""

    namespace: str
    address: str
    here: LocalHost

    @property
    def name(self) -> str:
        """Its namespace."""
        return self.namespace

    def within(self, argv: Sequence[str]) -> tuple[str, ...]:
        """The words that run a program there."""
        return ("ip", "netns", "exec", self.namespace, *argv)

    def run(self, command: Command) -> Result:
        """See `Host.run`."""
        return self.here.run(self._moved(command))

    def exec_argv(self, command: Command) -> Sequence[str]:
        """See `Host.exec_argv`."""
        return self.here.exec_argv(self._moved(command))

    def end(self, argv: Sequence[str]) -> None:
        """See `Host.end`."""
        self.here.end(argv)

    def explain(self, command: Command, status: int, stderr: bytes) -> Ec2zfsError:
        """See `Host.explain`."""
        return self.here.explain(command, status, stderr)

    def _moved(self, command: Command) -> Command:
        return Command(self.within(command.argv), command.stdin, command.timeout, command.accept)


@dataclass(frozen=True)
class Line:
    """The two ends of a line that is up."""

    near: Side
    far: Side

    def hosts_on(self, congestion: str) -> None:
        """Have both hosts use a congestion control where a program does not ask for another once it is connected."""
        for side, peer in ((self.near, self.far), (self.far, self.near)):
            route = (peer.address, "dev", "wan0", "src", side.address, "congctl", congestion)
            _do("ip", "-n", side.namespace, "route", "replace", *route)


@contextlib.contextmanager
def line(shape: Shape) -> Iterator[Line]:
    """Put up a line, whose hosts use cubic by default. Ends the program with a sentence when it cannot be had."""
    if os.getuid() != 0:
        raise SystemExit("The simulated line needs root: it makes network namespaces. Run it with sudo.")
    if missing := [tool for tool in ("gcc", "ip", "sysctl") if shutil.which(tool) is None]:
        raise SystemExit(f"The simulated line needs {', '.join(missing)} (Debian: gcc, libc6-dev, iproute2, procps).")
    sides = [Side(f"ec2zfs-{name}-{os.getpid()}", at, LocalHost(name)) for name, at in (("near", NEAR), ("far", FAR))]
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as undo:
        program = Path(folder) / "wan"
        _do("gcc", "-O2", "-Wall", "-o", str(program), str(_SOURCE))
        for side in sides:
            _do("ip", "netns", "add", side.namespace)
            undo.callback(subprocess.run, ("ip", "netns", "del", side.namespace), check=False)
        numbers = (shape.round_trip, shape.rate, shape.loss, _QUEUE_MILLISECONDS)
        words = (str(program), *(side.namespace for side in sides), *(f"{number:g}" for number in numbers))
        process = undo.enter_context(subprocess.Popen(words, stdout=subprocess.PIPE, text=True))
        undo.callback(process.kill)
        if process.stdout is None or process.stdout.readline() != "up\n":
            raise SystemExit("The simulated line did not come up: is there a /dev/net/tun?")
        for side, peer in (sides, sides[::-1]):
            _furnish(side, peer.address)
        up = Line(*sides)
        up.hosts_on("cubic")
        yield up


def _furnish(side: Side, peer: str) -> None:
    inside = ("ip", "-n", side.namespace)
    _do(*inside, "link", "set", "lo", "up")
    _do(*inside, "addr", "add", f"{side.address}/32", "peer", peer, "dev", "wan0")
    _do(*inside, "link", "set", "wan0", "mtu", "1500", "txqueuelen", "10000", "up")
    for setting in _SETTINGS:
        _do(*side.within(("sysctl", "-qw", setting)))


def _do(*argv: str) -> None:
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"`{' '.join(argv)}` failed: {done.stderr.strip()}")
