"""The `scan:` lines of `zpool status`, as OpenZFS up to 2.4 writes them, read into a `Scan`. Runs nothing.

Times are read as UTC, since our scripts run with TZ=UTC. ZFS rounds the numbers of bytes there to three digits.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from ec2zfs.model.scan import Scan, ScanFunction, ScanState

_TIME = r"(?P<at>\w{3} \w{3} \d{1,2} \d\d:\d\d:\d\d \d{4})"
_FUNCTION = r"(?P<function>scrub|resilver)"
_FORMS = (
    (ScanState.RUNNING, re.compile(rf"{_FUNCTION}(?: \(\S+\))? in progress since {_TIME}")),
    (ScanState.PAUSED, re.compile(rf"{_FUNCTION} paused since {_TIME}")),
    (ScanState.CANCELED, re.compile(rf"{_FUNCTION}(?: \(\S+\))? canceled on {_TIME}")),
    (ScanState.FINISHED, re.compile(rf"{_FUNCTION}(?:ed| repaired)\b.* with (?P<errors>\d+) errors on {_TIME}")),
)
_OF_TOTAL = re.compile(r"(?P<issued>[\d.]+[BKMGTPEZ]?) / (?P<total>[\d.]+[BKMGTPEZ]?) issued")
_AND_TOTAL = re.compile(r"(?P<issued>[\d.]+[BKMGTPEZ]?) issued.*?, (?P<total>[\d.]+[BKMGTPEZ]?) total")
_LEFT = re.compile(r"(?:(?P<days>\d+) days? )?(?P<hours>\d+):(?P<minutes>\d\d):(?P<seconds>\d\d) to go")
_UNITS = "BKMGTPEZ"


def scan_of(text: str) -> Scan | None:
    """The scan that these lines tell of; None when they tell of none that is known here (`none requested`).

    To take an unknown one for none is safe: then a pool counts as not scrubbed yet.
    """
    line = " ".join(text.split())
    for state, form in _FORMS:
        if match := form.match(line):
            issued, total = _progress(line)
            return Scan(
                function=ScanFunction(match["function"]),
                state=state,
                at=datetime.strptime(match["at"], "%a %b %d %H:%M:%S %Y").replace(tzinfo=UTC),
                issued=issued,
                total=total,
                seconds_left=_seconds_left(line),
                errors=int(match.groupdict().get("errors") or 0),
                line=line,
            )
    return None


def _progress(line: str) -> tuple[int, int]:
    """Bytes that are done and bytes in all; nothing for a scan that has ended."""
    match = _OF_TOTAL.search(line) or _AND_TOTAL.search(line)
    return (_bytes(match["issued"]), _bytes(match["total"])) if match else (0, 0)


def _bytes(number: str) -> int:
    """`1.20G` in bytes; with no unit it is bytes already."""
    unit = number[-1]
    return int(float(number[:-1]) * 1024 ** _UNITS.index(unit)) if unit in _UNITS else int(float(number))


def _seconds_left(line: str) -> int | None:
    match = _LEFT.search(line)
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
