"""How fast streams may be, by the clock on the wall. Pure values; `plan/rates.py` reckons."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, time, tzinfo

LEAST = 1e5
"""Bytes a second. Slower, and a frame of the stream would look like a line that has died."""
_SCALES = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
_BITS = {"bit": 8, "B": 1}
_RATE = re.compile(r"(\d+(?:\.\d+)?) ?([kMG]i?|Ki)?(B|bit)/s")


def parse_rate(text: str) -> float:
    """`20 MB/s`, `1.5 MiB/s` or `100 Mbit/s` in bytes a second; raises ValueError for what is none, or too slow."""
    found = _RATE.fullmatch(text)
    scale = _SCALES.get(found[2] or "") if found else None
    if found is None or scale is None:
        raise ValueError('must be a rate, such as "20 MB/s", "5 MiB/s" or "100 Mbit/s"')
    rate = float(found[1]) * scale / _BITS[found[3]]
    if rate < LEAST:
        raise ValueError(f"must be at least {LEAST / 1e3:g} kB/s")
    return rate


@dataclass(frozen=True)
class RateWindow:
    """`rate` (bytes a second, None: no limit) holds while the clock shows a time from `begin` on and before `end`.

    One that ends when it begins, or before, ends on the next day. `weekdays` are the days on which it begins, from 0,
    Monday; None: every day.
    """

    begin: time
    end: time
    rate: float | None
    weekdays: frozenset[int] | None = None


@dataclass(frozen=True)
class RateRule:
    """`rate` (bytes a second, None: no limit) holds outside of the windows; of several that overlap, the last."""

    rate: float | None = None
    windows: tuple[RateWindow, ...] = ()
    zone: tzinfo = UTC
