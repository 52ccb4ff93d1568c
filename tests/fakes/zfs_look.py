"""The script tools/zfs_look.sh in memory: one look at datasets, with the host's clock and the version before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.fakes.zfs_pool import FakeDataset, Pool
from tests.fakes.zfs_properties import Interpreter

LOOKED_LATER = 60
"""Seconds between what happened last and the next look."""


def script(pool: Pool, run: Interpreter, words: Sequence[str], names: Sequence[str]) -> tuple[int, str, str]:
    """What it prints; like it, it fails when a dataset is missing, after it told of the others."""
    properties, option = words
    told = f"{pool.now + LOOKED_LATER}\n{run(('zfs', 'version'))[1]}\n"
    if not names:
        return 0, told, ""
    for root in sorted({name.partition("/")[0] for name in names}):
        value = run(("zfs", "get", "-Hp", "-o", "value", "ec2zfs:holds", root))[1]
        told += f"holds\t{root}\t{value}" if value else ""
    depth = {"-r": "-r", "-d0": "-d"}[option]
    listed = ("zfs", "list", "-H", "-t", "filesystem,volume", "-o", "name", depth, *(["0"] if depth == "-d" else []))
    status, out, err = run((*listed, *names))
    asked = properties.split(",")
    rows = (
        f"{name}\t{prop}\t{source}\t{value}\n"
        for name in out.splitlines()
        for prop, source, value in _rows(pool, pool.find(name))
        if prop in asked
    )
    return status, f"{told}\n{''.join(rows)}", err


def _rows(pool: Pool, held: FakeDataset) -> Iterator[tuple[str, str, str]]:
    yield "type", "-", held.kind
    yield "guid", "-", str(held.guid)
    yield "encryptionroot", "-", "a root" if held.encrypted else "-"
    yield "written", "-", str(held.written)
    yield "receive_resume_token", "-", held.token
    yield "available", "-", str(pool.available)
    yield "snapshots_changed", "-", str(held.changed) if held.changed else "-"
    yield from ((name, "temporary", value) for name, value in held.temporary.items())
    local = {name: value for name, value in held.properties.items() if name not in held.temporary}
    yield from ((name, "local", value) for name, value in local.items())
    received = {name: value for name, value in held.received.items() if name not in local | held.temporary}
    yield from ((name, "received", value) for name, value in received.items())
