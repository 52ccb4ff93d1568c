"""Which properties of a source its copy has as well, and which are only written down on it for recovery. No I/O.

Streams carry no properties (docs/security.md), so whatever a copy has was given to it by name, from the lists here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

HELD = frozenset(
    (
        "aclinherit",
        "acltype",
        "atime",
        "compression",
        "dnodesize",
        "logbias",
        "recordsize",
        "relatime",
        "snapdir",
        "xattr",
    )
)
"""What can do no harm to a copy that is never mounted: how files look, and how what is written later is stored."""

RECORDED = frozenset(
    (
        # Where and how it is mounted, shared and reached.
        *("mountpoint", "canmount", "overlay", "sharenfs", "sharesmb", "readonly", "exec", "setuid", "devices"),
        *("jailed", "zoned", "volmode", "snapdev", "nbmand", "vscan", "aclmode", "keylocation"),
        *("context", "fscontext", "defcontext", "rootcontext", "mlslabel"),
        # What could fill the pool, stop a stream or make it slow, or keep the copy less safely.
        *("quota", "refquota", "reservation", "refreservation", "filesystem_limit", "snapshot_limit"),
        *("copies", "dedup", "sync", "checksum", "redundant_metadata", "special_small_blocks"),
        *("primarycache", "secondarycache", "prefetch", "direct", "volthreading", "longname"),
    )
)
"""What is good at the site and would be a danger, or another machine's matter, on the receiver."""

RECORD = "ec2zfs:property:"
"""A user property of the copy that begins so, and ends with a property's name, holds the value that the source has."""

OURS = "ec2zfs:"

SAME: Mapping[tuple[str, str], str] = {("xattr", "on"): "sa"}
"""Two words for one value: since OpenZFS 2.3 `on` is what `zfs get` tells of `sa` (before, it stood for `dir`)."""


@dataclass(frozen=True)
class Setting:
    """A property that was set on a dataset: its value, or None where it cannot be told, and why if that is a fault."""

    value: str | None
    fault: str = ""


Settings = Mapping[str, Setting]
"""What was set on one dataset (`local` or `received`, never inherited), by the properties' names."""


@dataclass(frozen=True)
class SeenProperties:
    """What is set on the sources and on the datasets of the pool, by their names; who is missing was not seen."""

    sources: Mapping[str, Settings] = field(default_factory=dict)
    copies: Mapping[str, Settings] = field(default_factory=dict)
