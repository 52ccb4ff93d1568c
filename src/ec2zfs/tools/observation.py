"""Reads what observe.sh, status.sh and expand.sh print into a `ReceiverView`. Runs nothing and decides nothing."""

from __future__ import annotations

from dataclasses import replace

from ec2zfs.model.contents import OpenMapping, ReceiverView, SeenVolume
from ec2zfs.model.pool import MemberName, PoolStatus
from ec2zfs.tools.zpool import importable_pools, listed_pools
from ec2zfs.tools.zpool_status import pool_status


def receiver_view(pool: str, text: str) -> ReceiverView:
    """The view of the pool that a script printed, section by section."""
    sections = _sections(text)
    listed = listed_pools(sections.get("pools", ""))
    return ReceiverView(
        volumes=seen_volumes(sections.get("volumes", "")),
        mappings=our_mappings(pool, sections.get("mappings", "")),
        pools=tuple(each.name for each in listed),
        imported=_imported(pool, sections),
        importable=importable_pools(sections.get("importable", "")),
        opened=_opened(pool, sections.get("opened", "")),
    )


def our_mappings(pool: str, text: str) -> tuple[str, ...]:
    """The names, one a line, that are mappings of this very pool: `cloud-v1s1-g1` is none of pool `cl`."""
    names = [(line.strip(), MemberName.parse(line.strip())) for line in text.splitlines()]
    return tuple(name for name, parsed in names if parsed and parsed.pool == pool)


def seen_volumes(text: str) -> tuple[SeenVolume, ...]:
    """The section of volumes: a line `volume SERIAL PATH`, then the facts about it."""
    found: list[SeenVolume] = []
    for line in text.splitlines():
        word, _, value = line.partition(" ")
        if word == "volume":
            serial, _, path = value.partition(" ")
            found.append(SeenVolume(serial, path))
        elif found:
            found[-1] = _with_fact(found[-1], word, value.strip())
    return tuple(found)


def _with_fact(volume: SeenVolume, word: str, value: str) -> SeenVolume:
    match word:
        case "signature":
            return replace(volume, signatures=(*volume.signatures, value))
        case "keyslots":
            return replace(volume, keyslots=int(value))
        case "label":
            return replace(volume, label=value)
        case "untouched":
            return replace(volume, untouched=True)
        case _:
            raise ValueError(f"observe.sh said '{word} {value}' of {volume.serial}")


def _opened(pool: str, text: str) -> tuple[OpenMapping, ...]:
    """A line for each open mapping: name, size, bytes written, `stale` or `-`, key slots as `0,1` or `-`."""
    rows = {words[0]: words[1:] for line in text.splitlines() if (words := line.split())}
    return tuple(_mapping(name, *rows[name]) for name in our_mappings(pool, "\n".join(rows)))


def _mapping(name: str, size: str, written: str, stale: str, slots: str) -> OpenMapping:
    keyslots = () if slots == "-" else tuple(int(slot) for slot in slots.split(","))
    return OpenMapping(name, int(size), int(written), stale == "stale", keyslots)


def _sections(text: str) -> dict[str, str]:
    """The text under each `%name` line."""
    parts = ("\n" + text).split("\n%")[1:]
    return {name.strip(): body for name, _, body in (part.partition("\n") for part in parts)}


def _imported(pool: str, sections: dict[str, str]) -> PoolStatus | None:
    ours = next((each for each in listed_pools(sections.get("pools", "")) if each.name == pool), None)
    if ours is None:
        return None
    facts = {"sizes": sections.get("vdevs", ""), "scrubbed": sections.get("scrubbed", "")}
    return pool_status(ours, sections.get("status", ""), **facts)
