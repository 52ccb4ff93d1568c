"""The mark by which a copy is known when its source is renamed: the GUID of the source, a user property of the copy."""

from __future__ import annotations

from collections.abc import Sequence

from ec2zfs.hosts.host import Command, Host
from ec2zfs.plan.replication_steps import Identify
from ec2zfs.tools.zfs import LISTING_LIMIT
from ec2zfs.tools.zfs_scripts import zfs_script

IDENTITY = "ec2zfs:source"


def identities(host: Host, pool: str) -> dict[str, int]:
    """The sources' GUIDs by the names of the copies that bear one of their own, in one execution."""
    words = ("get", "-Hp", "-r", "-s", "local", "-t", "filesystem,volume", "-o", "name,value", IDENTITY, pool)
    rows = (line.split("\t") for line in host.run(Command.of("zfs", *words, timeout=LISTING_LIMIT)).lines())
    return {name: int(value) for name, value in rows if value.isdecimal()}


def identify(host: Host, marks: Sequence[Identify]) -> None:
    """Let copies bear the GUIDs of their sources, in one execution; none where there is nothing to mark.

    Raises `CommandFailed` when one could not be marked; the others were.
    """
    if marks:
        lines = (f"{each.copy}\t{each.source}" for each in marks)
        host.run(zfs_script("zfs_identify.sh", IDENTITY, stdin=lines, timeout=LISTING_LIMIT))


def forget(host: Host, name: str) -> None:
    """Let a copy be nobody's."""
    host.run(Command.of("zfs", "inherit", IDENTITY, name))
