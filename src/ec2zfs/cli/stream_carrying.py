"""Carries one stream for `ec2zfs stream`: the host, the transport and the listener that its arguments ask for."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ec2zfs.cli.progress import JsonProgress, amount, duration
from ec2zfs.errors import CommandFailed, ExitCode, Interrupted, Refused
from ec2zfs.execute.progress import Progress, Silent
from ec2zfs.hosts.host import Host, Stage
from ec2zfs.hosts.running import PIPE_VICTIMS
from ec2zfs.hosts.ssh import SshHost, real_address
from ec2zfs.hosts.ssh_options import SshTarget
from ec2zfs.model.rate import RateRule, parse_rate
from ec2zfs.transport.direct import FIRST_FLOWS, MIB, MOST_STRIPES, DirectTransport
from ec2zfs.transport.limit import Limit
from ec2zfs.transport.ssh import SshTransport
from ec2zfs.transport.transport import Transport

Stages = Callable[[Host, int], tuple[Stage, Stage]]
"""Makes the two stages of a stream of the far host and our own descriptor."""


def carry(arguments: argparse.Namespace, number: int, stages: Stages) -> int:
    """Carry between our own descriptor (0 or 1) and the host; the exit code.

    Raises what `Transport.carry` raises. A reader of standard output that goes away is worth no word.
    """
    with _own(number) as end, _host(arguments) as host:
        sender, receiver = stages(host, end)
        progress, began, moved = _progress(json_lines=arguments.json), time.monotonic(), [0]
        try:
            with progress.bar("stream", None, "B") as bar:

                def meter(size: int) -> None:
                    moved[0] += size
                    bar.advance(size)

                _transport(arguments, host).carry(sender, receiver, meter, bar.measure)
        except CommandFailed as failure:
            if failure.status in PIPE_VICTIMS and failure.host == receiver.host.name != host.name:
                return ExitCode.FAILURE
            raise
        except KeyboardInterrupt:
            raise Interrupted("Interrupted: the stream was cut off.") from None
        progress.say(f"{amount(moved[0], 'B')} in {duration(time.monotonic() - began)}.")
    return ExitCode.OK


@contextmanager
def _own(number: int) -> Iterator[int]:
    """A descriptor of ours that a process can be given, besides those that it has itself."""
    name, sample = ("input", "tar c /srv | ec2zfs stream send …") if number == 0 else ("output", "")
    try:
        end = os.dup(number)
    except OSError:
        raise Refused(f"Standard {name} is closed.") from None
    try:
        if number == 0 and os.isatty(end):
            raise Refused("Standard input is a terminal: there is nothing to send.", hint=f"For example `{sample}`.")
        yield end
    finally:
        os.close(end)


@contextmanager
def _host(arguments: argparse.Namespace) -> Iterator[SshHost]:
    user, _, name = arguments.peer.rpartition("@")
    if not name or name.startswith("-"):
        raise Refused(f"{arguments.peer!r} is no host.", hint="Write USER@HOST, or a host of your ssh configuration.")
    with tempfile.TemporaryDirectory(prefix="ec2zfs-") as directory:
        target = SshTarget(
            address=name,
            port=_count(arguments.ssh_port, "--ssh-port"),
            user=user or None,
            identity=Path(arguments.identity).expanduser() if arguments.identity else None,
            known_hosts=Path(arguments.known_hosts or "~/.ssh/known_hosts").expanduser(),
            alias="",
            sudo=False,
            control_directory=Path(directory),
        )
        with SshHost(name, target) as host:
            yield host


def _transport(arguments: argparse.Namespace, host: SshHost) -> Transport:
    limit = Limit(RateRule(_rate(arguments.rate)))
    if arguments.mode == "ssh":
        return SshTransport(limit=limit)
    most = _count(arguments.flows, "--flows") or (MOST_STRIPES if arguments.mode == "ssh-striped" else 32)
    return DirectTransport(
        ports=_ports(arguments.ports),
        buffer=(_count(arguments.buffer, "--buffer") or 128) * MIB,
        flows=(min(FIRST_FLOWS, most), most),
        python=arguments.far_python or "python3",
        limit=limit,
        stripes=arguments.mode == "ssh-striped",
        reached=lambda _, port: (arguments.address or real_address(host.target), port),
    )


def _progress(*, json_lines: bool) -> Progress:
    if json_lines:
        return JsonProgress(_emit)
    if not sys.stderr.isatty():
        return Silent()
    from rich.console import Console

    from ec2zfs.cli.bars import TerminalProgress

    return TerminalProgress(Console(stderr=True, highlight=False, soft_wrap=True))


def _emit(event: str, values: Mapping[str, object]) -> None:
    print(json.dumps({"event": event, **values}), file=sys.stderr, flush=True)


def _rate(text: str | None) -> float | None:
    try:
        return None if text is None else parse_rate(text)
    except ValueError as error:
        raise Refused(f"--rate {error}.") from None


def _count(text: str | None, name: str) -> int | None:
    if text is None:
        return None
    if not text.isdecimal() or not 0 < int(text) < 1 << 16:
        raise Refused(f"{name} must be a whole number from 1 to 65535.")
    return int(text)


def _ports(text: str | None) -> tuple[int, int]:
    if text is None:
        return 0, 0
    first, _, last = text.partition("-")
    ports = _count(first, "--ports") or 0, _count(last or first, "--ports") or 0
    if ports[0] > ports[1]:
        raise Refused("--ports must be FIRST-LAST, the lower one first.")
    return ports
