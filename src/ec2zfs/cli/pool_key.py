"""The pool key, read from where the configuration says: prompt, command or descriptor; never argv or environment.

The key is all bytes that were given, without one line break at their end (`\\n` or `\\r\\n`), which a prompt, an editor
or `echo` puts there. That rule is the same for every source, so that all of them give the same key.
"""

from __future__ import annotations

import getpass
import hmac
import os
import warnings
from typing import TYPE_CHECKING

from ec2zfs.errors import ConfigurationError, Refused
from ec2zfs.hosts.secret import Secret

if TYPE_CHECKING:
    from ec2zfs.config import NewPoolKeySection, PoolKeySection
    from ec2zfs.hosts.host import Host

LEAST_BYTES = 32
"""Of a random key; scrypt stretches it once (tools/volume_keys.py), which no short password would survive."""

MOST_BYTES = 4096
COMMAND_SECONDS = 300.0
"""Time for a command that asks its own user, such as gpg's for a card or a passphrase."""


def read_new_pool_key(section: NewPoolKeySection, here: Host, pool: str) -> Secret:
    """Read the key that is to take the place of the pool's; as `read_pool_key` with `new`."""
    return read_pool_key(section, here, pool, new=True, table="new_pool_key")


def read_pool_key(
    section: PoolKeySection, here: Host, pool: str, *, new: bool = False, table: str = "pool_key"
) -> Secret:
    """Read the key of `pool`; a command runs on `here`, the controller. `table` is the section's name in the file.

    A `new` one is asked for twice at a prompt: a slip there would lose the pool. Raises `Refused` for one that cannot
    be right, `ConfigurationError` for a descriptor that is not open, and what running the command raises.
    """
    match section.origin:
        case "prompt":
            given = _prompted(pool, table)
            if new and not hmac.compare_digest(given, _prompted(pool, table, " (again)")):
                raise Refused("The two pool keys differ; nothing was done.")
        case "command":
            given = _printed(section.command or (), here)
        case "descriptor":
            given = _piped(section.descriptor or 0)
    return _checked(given)


def _checked(given: bytes) -> Secret:
    key = given.removesuffix(b"\n").removesuffix(b"\r") if given.endswith(b"\n") else given
    if LEAST_BYTES <= len(key) <= MOST_BYTES:
        return Secret(key)
    raise Refused(
        f"A pool key has {LEAST_BYTES} to {MOST_BYTES} bytes; this one has {len(key)}.",
        hint="If it is new, make it with `openssl rand -base64 48`, and keep it safe: without it the pool is lost.",
    )


def _prompted(pool: str, table: str, again: str = "") -> bytes:
    asked = table.replace("_", " ").capitalize()
    try:
        with warnings.catch_warnings():
            # getpass would rather show the key as it is typed than not ask.
            warnings.simplefilter("error", getpass.GetPassWarning)
            return getpass.getpass(f"{asked} of {pool}{again}: ").encode()
    except (EOFError, getpass.GetPassWarning):
        raise Refused(
            "No pool key was given: there is no terminal to ask on.",
            hint=f'For runs that nobody watches set {table}.from = "command" or "descriptor".',
        ) from None


def _printed(argv: tuple[str, ...], here: Host) -> bytes:
    from ec2zfs.hosts.host import Command

    return here.run(Command(argv, timeout=COMMAND_SECONDS)).stdout


def _piped(descriptor: int) -> bytes:
    try:
        with os.fdopen(descriptor, "rb") as pipe:
            return pipe.read(MOST_BYTES + 2)
    except OSError as error:
        raise ConfigurationError(
            f"The pool key cannot be read from descriptor {descriptor}: {error.strerror}.",
            hint=f"Open it when you start ec2zfs, such as `ec2zfs … {descriptor}< <(gpg -d cloud.key.gpg)`.",
        ) from error
