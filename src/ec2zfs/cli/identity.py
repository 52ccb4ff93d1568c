"""The identity that decrypts, as the operator gives it: at a prompt, on a descriptor, by gpg, or from a command.

Never from a file that is named, an argument or the environment: what reads it then is the operator's own shell.
"""

from __future__ import annotations

import argparse
import getpass
import os
import shlex
import warnings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ec2zfs.encryption.identities import Identity
    from ec2zfs.hosts.secret import Secret

MOST_BYTES = 1 << 20
COMMAND_SECONDS = 300.0
"""Time for a command that asks its own user."""


def add_identity(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Add `--identity WAY` and `--passphrase WAY`."""
    parser.add_argument(
        "--identity",
        metavar="WAY",
        required=required,
        help="where the private key comes from: `prompt` (age), `fd:3` (an open descriptor, `3<key.asc`), `gpg` (your"
        " own gpg, its agent or card), or `command:pass show ec2zfs/identity`",
    )
    parser.add_argument(
        "--passphrase", metavar="WAY", help="where the passphrase of that key comes from, in the same ways but gpg"
    )


def given_identity(arguments: argparse.Namespace) -> Identity | None:
    """The identity that the command line names; None where it names none.

    Raises `Refused` for what is no identity, `ConfigurationError` for a way that there is not, and what a command
    raises.
    """
    from ec2zfs.encryption.identities import OWN_GPG, recognised
    from ec2zfs.errors import ConfigurationError

    if arguments.identity is None:
        if arguments.passphrase is not None:
            raise ConfigurationError("--passphrase belongs to an --identity, and none is given.")
        return None
    if arguments.identity == "gpg":
        return OWN_GPG
    secret = _read(arguments.identity, "Identity")
    return recognised(secret, _read(arguments.passphrase, "Passphrase") if arguments.passphrase else None)


def _read(way: str, what: str) -> Secret:
    from ec2zfs.errors import ConfigurationError
    from ec2zfs.hosts.secret import Secret

    kind, _, rest = way.partition(":")
    if way == "prompt":
        text = _prompted(what)
    elif kind == "fd" and rest.isdecimal():
        text = _piped(int(rest))
    elif kind == "command" and shlex.split(rest):
        text = _printed(tuple(shlex.split(rest)))
    else:
        raise ConfigurationError(
            f"There is no way to read it that is called {kind}.", hint="There are prompt, fd:NUMBER and command:WORDS."
        )
    return Secret(text if what == "Identity" else text.removesuffix(b"\n").removesuffix(b"\r"))


def _prompted(what: str) -> bytes:
    from ec2zfs.errors import Refused

    try:
        with warnings.catch_warnings():
            # getpass would rather show what is typed than not ask.
            warnings.simplefilter("error", getpass.GetPassWarning)
            return getpass.getpass(f"{what}: ").encode()
    except (EOFError, getpass.GetPassWarning):
        raise Refused(
            f"No {what.lower()} was given: there is no terminal to ask on.", hint="Give it as fd:3 or command:…"
        ) from None


def _piped(descriptor: int) -> bytes:
    from ec2zfs.errors import ConfigurationError

    try:
        with os.fdopen(descriptor, "rb") as pipe:
            return pipe.read(MOST_BYTES)
    except OSError as error:
        raise ConfigurationError(
            f"Descriptor {descriptor} cannot be read: {error.strerror}.",
            hint=f"Open it when you start ec2zfs, such as `ec2zfs … {descriptor}<key.asc`.",
        ) from error


def _printed(argv: tuple[str, ...]) -> bytes:
    from ec2zfs.hosts.host import Command
    from ec2zfs.hosts.local import LocalHost

    return LocalHost().run(Command(argv, timeout=COMMAND_SECONDS)).stdout
