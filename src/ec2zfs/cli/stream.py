"""`ec2zfs stream`: any byte stream between standard input or output here and a command on another host; needs no ZFS.

It reads no configuration. Standard output is the stream's alone: whatever is to be said goes to standard error.
"""

from __future__ import annotations

import argparse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ec2zfs.cli.verbs import Verbs


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    from ec2zfs.cli.verbs import add_group, add_verb

    group = add_group(verbs, "stream", "send or receive any byte stream, as fast as the line: tar, pg_dump")
    sending = add_verb(group, "send", "send standard input to a command on another host", _send)
    _add_arguments(sending, "--to", "host on which the command reads the stream")
    receiving = add_verb(group, "receive", "bring what a command on another host prints to standard output", _receive)
    _add_arguments(receiving, "--from", "host on which the command prints the stream")


def _add_arguments(parser: argparse.ArgumentParser, direction: str, host: str) -> None:
    words = f"{host}, as ssh knows it; its host key must be known"
    parser.add_argument(direction, dest="peer", metavar="[USER@]HOST", required=True, help=words)
    parser.add_argument(
        "--mode",
        choices=("direct", "ssh", "ssh-striped"),
        default="ssh-striped",
        help="`ssh-striped` (the default): several ssh connections; `ssh`: one, which needs no Python on the host;"
        " `direct`: sealed TCP connections straight to a port of the host, the fastest",
    )
    for name, value, text in _VALUES:
        parser.add_argument(name, metavar=value, help=text)
    parser.add_argument("command", nargs="+", metavar="COMMAND", help="program and arguments there, after `--`")


_VALUES = (
    ("--rate", "RATE", "the most that is sent, such as `20 MB/s` or `100 Mbit/s`"),
    ("--flows", "COUNT", "the most connections at a time (32; 8 through ssh)"),
    ("--buffer", "MIB", "MiB that each end may hold (128), at most an eighth of the machine's memory"),
    ("--ports", "FIRST-LAST", "TCP ports of which the host may listen on one, for `direct`; without it any"),
    ("--address", "ADDRESS", "the host's address for `direct`, if it is another than that of ssh"),
    ("--far-python", "PROGRAM", "Python 3.9 or later on the host (python3)"),
    ("--ssh-port", "PORT", "TCP port of the host's ssh server"),
    ("--identity", "FILE", "private key to log in with"),
    ("--known-hosts", "FILE", "file in which the host's key stands (~/.ssh/known_hosts)"),
)


def _send(arguments: argparse.Namespace) -> int:
    from ec2zfs.cli.stream_carrying import carry
    from ec2zfs.hosts.host import Command, Stage
    from ec2zfs.hosts.local import LocalHost

    return carry(
        arguments,
        0,
        lambda host, end: (
            Stage(LocalHost("standard input"), Command.of("cat", timeout=None), end),
            Stage(host, Command(tuple(arguments.command), timeout=None)),
        ),
    )


def _receive(arguments: argparse.Namespace) -> int:
    from ec2zfs.cli.stream_carrying import carry
    from ec2zfs.hosts.host import Command, Stage
    from ec2zfs.hosts.local import LocalHost

    return carry(
        arguments,
        1,
        lambda host, end: (
            Stage(host, Command(tuple(arguments.command), timeout=None)),
            Stage(LocalHost("standard output"), Command.of("cat", timeout=None), end),
        ),
    )
