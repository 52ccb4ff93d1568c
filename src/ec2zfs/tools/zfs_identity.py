"""The mark by which a copy is known when its source is renamed: the GUID of the source, a user property of the copy."""

from __future__ import annotations

from ec2zfs.hosts.host import Command, Host
from ec2zfs.tools.zfs import LISTING_LIMIT

IDENTITY = "ec2zfs:source"


def identities(host: Host, pool: str) -> dict[str, int]:
    """The sources' GUIDs by the names of the copies that bear one of their own, in one execution."""
    words = ("get", "-Hp", "-r", "-s", "local", "-t", "filesystem,volume", "-o", "name,value", IDENTITY, pool)
    rows = (line.split("\t") for line in host.run(Command.of("zfs", *words, timeout=LISTING_LIMIT)).lines())
    return {name: int(value) for name, value in rows if value.isdecimal()}


def forget(host: Host, name: str) -> None:
    """Let a copy be nobody's."""
    host.run(Command.of("zfs", "inherit", IDENTITY, name))
