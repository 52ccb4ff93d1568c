"""Peak memory of the controller while a stream passes through it: 64 MiB and 2 GiB, from this host and from behind ssh.

The controller is a process of its own that has done what `ec2zfs backup` does in memory: its configuration is parsed,
its session has an EC2 client, the keys of 40 volumes are derived, and progress is drawn. The stream goes the product's
own way, to a real sshd on loopback. Exits with 1 above 150 MiB.

python -m bench.memory [MIB …]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.contract.sshd import ALIAS, Sshd

from ec2zfs.hosts.host import Command, Host, Stage
from ec2zfs.hosts.local import LocalHost
from ec2zfs.hosts.ssh import SshHost
from ec2zfs.hosts.ssh_options import SshTarget

LIMIT_MIB = 150
SIZES_MIB = (64, 2048)
WAYS = ("local to ssh", "ssh to ssh")


def controller(way: str, mib: int, directory: Path) -> None:
    """Be the controller: carry the stream, then print this process's own peak in KiB and the seconds it took."""
    from rich.console import Console

    from ec2zfs.cli.bars import TerminalProgress
    from ec2zfs.transport.ssh import SshTransport

    with ExitStack() as connections:
        prepare(connections)
        receiver = connections.enter_context(SshHost("receiver", target(directory, "receiver")))
        site: Host = LocalHost()
        if way == "ssh to ssh":
            site = connections.enter_context(SshHost("site", target(directory, "site")))
        screen = Console(file=connections.enter_context(Path(os.devnull).open("w")), force_terminal=True)
        sender = Stage(site, Command(("head", "-c", str(mib << 20), "/dev/zero"), timeout=None))
        taker = Stage(receiver, Command(("sh", "-c", "cat >/dev/null"), timeout=None))
        began = time.perf_counter()
        with TerminalProgress(screen).bar("replicate", mib << 20, "B") as bar:
            SshTransport().carry(sender, taker, bar.advance)
        took = time.perf_counter() - began
    print(json.dumps({"peak_kib": peak_kib(), "seconds": took}))


def prepare(connections: ExitStack) -> None:
    """What a run holds in memory before its stream begins: 40 volumes, as the sample configuration has them."""
    from ec2zfs.cli.backup import backup_parts
    from ec2zfs.cli.output import Words
    from ec2zfs.cli.session import Session
    from ec2zfs.config import parse
    from ec2zfs.config.sample import sample
    from ec2zfs.execute.progress import Silent
    from ec2zfs.hosts.secret import Secret
    from ec2zfs.model.volume import mapping_name
    from ec2zfs.tools.volume_keys import VolumeKeys

    session = Session(parse(sample()), Words(Silent()), connections)
    assert backup_parts(session).upkeep.design == session.design
    keys = VolumeKeys(Secret(bytes(64)), session.pool)
    records = keys.records(mapping_name(session.pool, place, 1) for place in session.design.layout.places())
    assert len(records) == 40 * 64


def peak_kib() -> int:
    """The highest resident size of this process since it began to run this program (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def target(directory: Path, name: str) -> SshTarget:
    """The sshd of this measurement; each host has a connection of its own."""
    return SshTarget(
        address="127.0.0.1",
        port=int((directory / "port").read_text()),
        user=None,
        identity=directory / "identity",
        known_hosts=directory / "known_hosts",
        alias=ALIAS,
        sudo=False,
        control_directory=directory / name,
    )


def measured(way: str, mib: int, directory: Path) -> tuple[float, float]:
    """Peak in MiB and rate in MiB/s of one stream, in a controller of its own."""
    argv = [sys.executable, "-m", "bench.memory", "--controller", way, str(mib), str(directory)]
    nobody = os.environ | {"AWS_ACCESS_KEY_ID": "x" * 20, "AWS_SECRET_ACCESS_KEY": "x"}
    done = subprocess.run(argv, stdout=subprocess.PIPE, env=nobody, check=True)
    found = json.loads(done.stdout)
    return found["peak_kib"] / 1024, mib / found["seconds"]


def main(arguments: list[str]) -> int:
    """Measure, print, and say whether the limit holds."""
    if arguments[:1] == ["--controller"]:
        controller(arguments[1], int(arguments[2]), Path(arguments[3]))
        return 0
    sizes = [int(word) for word in arguments] or list(SIZES_MIB)
    peaks = []
    print(f"Peak memory of the controller (limit {LIMIT_MIB} MiB):")
    with tempfile.TemporaryDirectory() as folder:
        server = Sshd.started(Path(folder))
        (Path(folder) / "port").write_text(str(server.port))
        try:
            for way in WAYS:
                for mib in sizes:
                    peak, rate = measured(way, mib, Path(folder))
                    peaks.append(peak)
                    print(f"  {way:<12} {mib:6d} MiB: {peak:6.1f} MiB at {rate:5.0f} MiB/s", flush=True)
        finally:
            server.end()
    return int(max(peaks) > LIMIT_MIB)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
