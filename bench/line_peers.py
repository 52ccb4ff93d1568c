"""What else carries a stream over a line: ssh, mbuffer with ssh, and iperf3, which shows what the line can carry.

All of them carry zeros, which none of them compresses.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path

from tests.contract.processes import descendants

from ec2zfs.hosts.keypair import ensure_keypair
from ec2zfs.hosts.known_hosts import KnownHosts

GIVE = """
import os, sys, time
seconds, left = float(sys.argv[1]), int(sys.argv[2])
block, end = memoryview(bytes(1 << 20)), time.monotonic() + seconds
while left and time.monotonic() < end:
    left -= os.write(1, block[:left])
"""
"""Writes zeros for so many seconds, but no more than so many bytes."""
TAKE = """
import os, sys, time
begun, taken, block, seconds = time.monotonic(), 0, bytearray(1 << 20), float(sys.argv[2])
while time.monotonic() < begun + seconds and (size := os.readv(0, [block])):
    taken += size
print(taken, time.monotonic() - begun, file=open(sys.argv[1], "w"))
"""
"""Reads to the end, or for so many seconds; writes to a file how many bytes came, and in how many seconds."""
CIPHER = "aes128-gcm@openssh.com"
_ALIAS = "line"
_PORT = 2222
_PROGRAMS = {"iperf3": "iperf3", "mbuffer": "mbuffer", "sshd": "openssh-server"}
_PATH = f"/usr/sbin:/usr/local/sbin:{os.environ.get('PATH', '')}"
_SSHD = """
ListenAddress {address}
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
"""


def require_programs() -> None:
    """Install what is missing from Debian, and say so; ends the program when that cannot be done."""
    packages = [package for name, package in _PROGRAMS.items() if shutil.which(name, path=_PATH) is None]
    if not packages:
        return
    print(f"Installing {' '.join(packages)}, which this bench measures", file=sys.stderr)
    argv = ["apt-get", "-qq", "install", "-y", "--no-install-recommends", *packages]
    done = subprocess.run(argv, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"`{' '.join(argv)}` failed, and this bench needs them: {done.stderr.strip()}")


def giving(seconds: float, most: int) -> tuple[str, ...]:
    """The words of the sending command."""
    return (sys.executable, "-I", "-c", GIVE, str(seconds), str(most))


def taking(note: Path, seconds: float = inf) -> tuple[str, ...]:
    """The words of the receiving command."""
    return (sys.executable, "-I", "-c", TAKE, str(note), str(seconds))


def noted(note: Path) -> float:
    """The rate that the receiving command saw, in Mbit/s."""
    taken, seconds = (float(word) for word in note.read_text().split())
    return 8e-6 * taken / seconds


@dataclass(frozen=True)
class Ssh:
    """An sshd at an address, run behind the words `there`, and ssh to it behind the words `here`."""

    folder: Path
    address: str
    here: tuple[str, ...]
    server: subprocess.Popen[bytes]

    def rate(self, seconds: float, most: int, *, buffered: bool = False) -> float:
        """What it carries in Mbit/s in so many seconds; `buffered`: with mbuffer on both sides."""
        note = self.folder / "taken"
        buffer = ("mbuffer", "-q", "-s", "128k", "-m", "128M")
        take = shlex.join(taking(note, seconds))
        ssh = (*self.here, *self._ssh(), f"{shlex.join(buffer)} | {take}" if buffered else take)
        pipeline = [giving(seconds, most), *([buffer] if buffered else []), ssh]
        script = " | ".join(shlex.join(stage) for stage in pipeline)
        subprocess.run(["sh", "-c", script], check=True, stderr=subprocess.DEVNULL)  # of those that it ends early
        _await(lambda: not descendants(self.server.pid), "The end of ssh's session")
        return noted(note)

    def cpu(self) -> float:
        """The CPU seconds of the server and of all its sessions that have ended."""
        fields = Path(f"/proc/{self.server.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")

    def _ssh(self) -> tuple[str, ...]:
        known = f"UserKnownHostsFile={self.folder / 'known_hosts'}"
        options = ("BatchMode=yes", f"HostKeyAlias={_ALIAS}", known, "LogLevel=ERROR", "IdentitiesOnly=yes")
        words = [word for option in options for word in ("-o", option)]
        return ("ssh", "-F", "none", "-c", CIPHER, *words, "-i", str(self.folder / "identity"), *self._where())

    def _where(self) -> tuple[str, ...]:
        return ("-p", str(_PORT), self.address)


@contextlib.contextmanager
def ssh(folder: Path, address: str, here: tuple[str, ...] = (), there: tuple[str, ...] = ()) -> Iterator[Ssh]:
    """Run an sshd with keys of its own at an address until the `with` ends."""
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd demands it of root
    host_key = ensure_keypair(folder / "host_key")
    (folder / "authorized_keys").write_text(ensure_keypair(folder / "identity") + "\n")
    KnownHosts(folder / "known_hosts").pin(_ALIAS, [host_key])
    (folder / "sshd_config").write_text(_SSHD.format(address=address, port=_PORT, folder=folder))
    program = shutil.which("sshd", path=_PATH) or "sshd"
    log = folder / "log"
    argv = (*there, program, "-D", "-f", str(folder / "sshd_config"), "-E", str(log))
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL) as server:
        try:
            _await(lambda: log.exists() and "listening" in log.read_text(), "The start of sshd")
            yield Ssh(folder, address, here, server)
        finally:
            server.terminate()


def iperf3(here: tuple[str, ...], there: tuple[str, ...], address: str, flows: Sequence[str]) -> float:
    """What iperf3 carries in Mbit/s; `flows` are the words that say how many, how long and with what control."""
    with subprocess.Popen([*there, "iperf3", "-s", "-1", "--forceflush"], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            for said in server.stdout:
                if "listening" in said:
                    break
            # What it says of 32 flows a second would fill the pipe.
            threading.Thread(target=server.stdout.read, daemon=True).start()
            argv = [*here, "iperf3", "-c", address, "-J", *flows]
            done = subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True)
            server.wait(5)
        finally:
            server.terminate()
    return float(json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"]) / 1e6


def _await(ready: Callable[[], bool], what: str) -> None:
    for _ in range(200):
        if ready():
            return
        time.sleep(0.05)
    raise SystemExit(f"{what} did not come.")
