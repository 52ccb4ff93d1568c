"""Properties of datasets in memory, by OpenZFS's rules and words: `zfs get` of what is set, `zfs set`, `zfs inherit`.

Also the two scripts that run them, tools/zfs_properties.sh and zfs_set.sh.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from tests.fakes.zfs_pool import FakeDataset, Pool, ZfsSays

from ec2zfs.model.properties import HELD, RECORDED

Interpreter = Callable[[Sequence[str]], tuple[int, str, str]]
"""Runs one command: status, standard output, standard error."""

COMPRESSION = ("on", "off", "lz4", "zstd", "zstd-3", "gzip", "gzip-9", "zle")
"""What ZFS takes for it; the other properties take anything here."""

TOLD = {("xattr", "sa"): "on"}
"""Values that `zfs get` tells in another word than they were set with."""


def get(pool: Pool, words: Sequence[str]) -> str:
    """`zfs get -Hp -t … -s SOURCES -o COLUMNS PROPERTIES DATASET…`."""
    flags, (names, *datasets) = words[:7], words[7:]
    assert flags[::2] == ["-Hp", "filesystem,volume", flags[4], flags[6]], words
    sources, columns = flags[4].split(","), flags[6].split(",")
    out, missing = "", []
    for dataset in datasets:
        if dataset not in pool.datasets:
            missing.append(f"cannot open '{dataset}': dataset does not exist")
            continue
        for prop, source, value in _rows(pool.find(dataset)):
            row = {"name": dataset, "property": prop, "source": "-" if source == "none" else source, "value": value}
            if source in sources and (names == "all" or prop in names.split(",")):
                out += "\t".join(row[column] for column in columns) + "\n"
    if missing:
        raise ZfsSays("\n".join(missing), out)
    return out


def _rows(held: FakeDataset) -> Iterator[tuple[str, str, str]]:
    yield "type", "none", held.kind
    yield "guid", "none", str(held.guid)
    for prop, value in held.temporary.items():
        yield prop, "temporary", value
    for prop, value in sorted(held.properties.items()):
        if prop not in held.temporary:
            yield prop, "local", value
    for prop, value in sorted(held.received.items()):
        if prop not in held.temporary and prop not in held.properties:
            yield prop, "received", value


def set_properties(pool: Pool, words: Sequence[str]) -> None:
    """`zfs set PROPERTY=VALUE… DATASET`: all or nothing, by us only what can do no harm."""
    *changes, dataset = words
    found = pool.find(dataset)
    pairs = [change.split("=", 1) for change in changes]
    for prop, value in pairs:
        assert prop not in RECORDED, f"{prop} may not be set on a copy"
        assert ":" not in prop or prop.startswith("ec2zfs:"), f"{prop} is not ours"
        refusal = _refusal(pool, prop, value)
        if refusal:
            raise ZfsSays(f"cannot set property for '{dataset}': {refusal}")
    found.properties |= {prop: TOLD.get((prop, value), value) for prop, value in pairs}


def _refusal(pool: Pool, prop: str, value: str) -> str:
    if ":" in prop:
        if len(prop) > 255:
            return f"property name '{prop}' is too long"
        return f"property value '{value}' is too long" if len(value.encode()) > 8191 else ""
    if prop not in HELD or prop in pool.unknown:
        return f"invalid property '{prop}'"
    if prop == "compression" and value not in COMPRESSION:
        return f"'{prop}' must be one of '{' | '.join(COMPRESSION)}'"
    return ""


def inherit(pool: Pool, words: Sequence[str]) -> None:
    """`zfs inherit PROPERTY DATASET`."""
    prop, dataset = words
    pool.find(dataset).properties.pop(prop, None)


def listing_script(run: Interpreter, datasets: Sequence[str]) -> tuple[int, str, str]:
    """zfs_properties.sh."""

    def asked(sources: str, columns: str, names: str) -> str:
        options = ("-Hp", "-t", "filesystem,volume", "-s", sources, "-o", columns)
        return run(("zfs", "get", *options, names, *datasets))[1]

    rows = asked("local,received,temporary,none", "name,property,source", "all").splitlines()
    keys = [row for row in rows if not row.endswith("\t-") or row.split("\t")[1] == "type"]
    names = sorted({key.split("\t")[1] for key in keys} - {"type"})
    values = asked("local,received,temporary", "name,property,source,value", ",".join(names)) if names else ""
    return 0, "\n".join(keys) + "\n\n" + values, ""


def setting_script(run: Interpreter, item: str) -> str:
    """zfs_set.sh; what it prints."""
    dataset, *changes = item.split("\n")
    out = ""
    for change in changes:
        if "=" not in change:
            out += _told(dataset, change, run(("zfs", "inherit", change, dataset)))
    given = [change for change in changes if "=" in change]
    if given and run(("zfs", "set", *given, dataset))[0]:
        for change in given:
            out += _told(dataset, change.partition("=")[0], run(("zfs", "set", change, dataset)))
    return out


def _told(dataset: str, prop: str, answer: tuple[int, str, str]) -> str:
    status, _, err = answer
    return f"{dataset}\t{prop}\t{err.strip().replace(chr(10), ' ')}\n" if status else ""
