"""The accelerated stream over loopback beside ssh, bare sockets and a pipe: rate, CPU seconds a GiB, memory.

Every way goes from the same command to the same command, except for the bare sockets, which have none. 3 GiB of random
data are compared by digest. What the stream cannot do without (a pipe at each end, a connection, sealing and opening)
is measured by itself too: the processors can do no more of that. Needs an sshd (openssh-server). Exits with 1 if a
limit is broken.

python -m bench.loopback [GIB]
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.line_peers import CIPHER, giving, noted, ssh, taking
from tests.contract.processes import descendants

from ec2zfs.hosts.host import Command, Stage
from ec2zfs.hosts.local import LocalHost
from ec2zfs.transport.direct import DirectTransport
from ec2zfs.transport.far.buffers import buffer
from ec2zfs.transport.far.frames import HEADER, TAG_BYTES
from ec2zfs.transport.far.keys import KEY_BYTES
from ec2zfs.transport.far.seals import Aes

GIB, MIB = 1 << 30, 1 << 20
FRAME = 256 << 10
ROUNDS = 3
OF_SSH, OF_SOCKETS = 5.0, 0.5
RANDOM_GIB = 3
ABOVE_BUFFER = 64 * MIB
RANDOM = """
import hashlib, os, sys
digest = hashlib.sha256()
for _ in range(int(sys.argv[1])):
    piece = os.urandom(1 << 20)
    digest.update(piece)
    while piece: piece = piece[os.write(1, piece):]
open(sys.argv[2], "w").write(digest.hexdigest())
"""
DIGEST = """
import hashlib, sys, time
time.sleep(float(sys.argv[2]))
open(sys.argv[1], "w").write(hashlib.file_digest(sys.stdin.buffer, "sha256").hexdigest())
"""


@dataclass(frozen=True)
class Spent:
    """What it took to carry so many bytes."""

    seconds: float
    cpu: float
    size: int

    def __str__(self) -> str:
        return f"{self.rate:5.2f} GB/s, {self.cpu * GIB / self.size:5.2f} CPU s a GiB"

    @property
    def rate(self) -> float:
        """In GB/s."""
        return self.size / self.seconds / 1e9


def spent(
    size: int, carry: Callable[[], None], note: Path | None = None, elsewhere: Callable[[], float] = lambda: 0.0
) -> Spent:
    """Carry and measure: the time is the receiving command's, where it has left a note.

    `elsewhere` tells the CPU seconds of processes that are not our children.
    """
    begun, before = time.perf_counter(), _cpu() + elsewhere()
    carry()
    seconds = time.perf_counter() - begun
    return Spent(8e-6 * size / noted(note) if note else seconds, _cpu() + elsewhere() - before, size)


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def direct(give: tuple[str, ...], take: tuple[str, ...], meter: Callable[[int], None] = lambda _: None) -> None:
    """Carry by the product's own transport."""
    sender = Stage(LocalHost("site"), Command(give, timeout=None))
    receiver = Stage(LocalHost("receiver"), Command(take, timeout=None))
    DirectTransport(python=sys.executable).carry(sender, receiver, meter)


def pipe(give: tuple[str, ...], take: tuple[str, ...]) -> None:
    """Carry by a pipe of the kernel's."""
    with subprocess.Popen(give, stdout=subprocess.PIPE) as giver:
        subprocess.run(take, stdin=giver.stdout, check=True)


def sockets(size: int) -> None:
    """Send so many bytes of one process's memory to another's over one connection, and no more than that."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        child = os.fork()
        if child == 0:
            with contextlib.suppress(OSError), socket.create_connection(server.getsockname()) as end:
                block, left = memoryview(bytes(MIB)), size
                while left:
                    left -= end.send(block[:left])
            os._exit(0)
        connection, _ = server.accept()
    with connection:
        room = bytearray(MIB)
        while connection.recv_into(room):
            pass
    os.waitpid(child, 0)


def sealing(size: int) -> None:
    """Seal and open so many bytes in frames, in place, and nothing else."""
    cipher, nonce, head = Aes(secrets.token_bytes(KEY_BYTES)), bytes(12), bytes(HEADER.size)
    plain, sealed = buffer(FRAME), buffer(FRAME + TAG_BYTES)
    for _ in range(size // FRAME):
        cipher.seal(nonce, plain, head, sealed)
        cipher.open(nonce, sealed, head, plain)


def in_turns(size: int, folder: Path) -> dict[str, list[Spent]]:
    """Each way, again and again by turns, so that a busy machine is slow for all."""
    note = folder / "taken"
    give, take = giving(3600, size), taking(note)
    with ssh(folder, "127.0.0.1") as peer:
        ways: dict[str, Callable[[], Spent]] = {
            f"ssh {CIPHER.partition('@')[0]}": lambda: spent(size, lambda: void(peer.rate(3600, size)), note, peer.cpu),
            "ec2zfs direct": lambda: spent(size, lambda: direct(give, take), note),
            "bare sockets": lambda: spent(size, lambda: sockets(size)),
            "pipe": lambda: spent(size, lambda: pipe(give, take), note),
            "sealing, opening": lambda: spent(size, lambda: sealing(size)),
        }
        found: dict[str, list[Spent]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, way in ways.items():
                found[name].append(way())
    return found


def void(_: object) -> None:
    """Nothing is made of it."""


def peaks() -> Iterator[int]:
    """The most memory that each end has used so far, in bytes."""
    for pid, words in descendants(os.getpid()).items():
        with contextlib.suppress(OSError):
            if words[1:3] == ["-I", "-c"] and "transport" in words[3]:
                lines = Path(f"/proc/{pid}/status").read_text().splitlines()
                yield int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) << 10


def random_data(folder: Path) -> bool:
    """3 GiB of random data to a reader that begins late, so that both buffers are full; whether all is well."""
    sent, came = folder / "sent", folder / "came"
    give = (sys.executable, "-I", "-c", RANDOM, str(RANDOM_GIB * 1024), str(sent))
    used: list[int] = []
    direct(give, (sys.executable, "-I", "-c", DIGEST, str(came), "2"), lambda _: used.extend(peaks()))
    right = sent.read_text() == came.read_text() and len(came.read_text()) == 2 * hashlib.sha256().digest_size
    limit = DirectTransport().buffer + ABOVE_BUFFER
    print(f"  {RANDOM_GIB} GiB of random data: {'the same digest' if right else 'ANOTHER DIGEST'} at both ends")
    print(f"  memory of an end: {max(used) / MIB:.0f} MiB at the most (limit {limit / MIB:.0f} MiB)")
    return right and max(used) < limit


def main(arguments: list[str]) -> int:
    """Measure, print, and say whether the limits hold."""
    size = int(float(arguments[0]) * GIB) if arguments else 2 * GIB
    with tempfile.TemporaryDirectory() as folder:
        found = in_turns(size, Path(folder))
        print(f"{size / GIB:g} GiB over loopback, the best of {ROUNDS}:")
        best = {name: max(seen, key=lambda one: one.rate) for name, seen in found.items()}
        for name, one in best.items():
            print(f"  {name:<16} {one}")
        well = random_data(Path(folder))
    ours, of_ssh, of_sockets = (best[name].rate for name in ("ec2zfs direct", "ssh aes128-gcm", "bare sockets"))
    parts = 2 * best["pipe"].cpu + best["bare sockets"].cpu + best["sealing, opening"].cpu
    cores = len(os.sched_getaffinity(0))
    most = cores * size / parts / 1e9
    print(f"  two pipes, a connection, sealing and opening take {parts * GIB / size:.2f} CPU s a GiB by themselves:")
    print(f"  {cores} processors can do no more of it than {most:.2f} GB/s, {most / of_ssh:.1f} x ssh")
    print(f"  {ours / of_ssh:.1f} x ssh (limit {OF_SSH:g})")
    print(f"  {ours / of_sockets:.2f} x bare sockets (limit {OF_SOCKETS:g})")
    return int(not well or ours < OF_SSH * of_ssh or ours < OF_SOCKETS * of_sockets)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
