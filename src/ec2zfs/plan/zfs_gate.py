"""Decides whether the ZFS of a host may send, or receive on LUKS. Judged by the kernel modules, which do the work.

A source needs 2.0: before it, a change of `-L` zeroed files (openzfs #6224; peers, pain 9), and the raw stream of an
encrypted dataset that was cut could not go on (openzfs #10234, fact 38). The faults of 2.2.8 and 2.3.3 in fact 38 are
those of encrypted datasets sent plain, which never happens here. A receiver writes through dm-crypt, where errors were
made until 2.2.8 and 2.3.0 (openzfs #15533; peers, pain 10).
"""

from __future__ import annotations

import re

from ec2zfs.errors import Refused

Version = tuple[int, int, int]

LEAST_SOURCE: tuple[Version, ...] = ((2, 0, 0),)
LEAST_ON_LUKS: tuple[Version, ...] = ((2, 2, 8), (2, 3, 0))
"""The least version of each series, the last one of every later series."""


def parse_version(text: str) -> Version | None:
    """The numbers in a version with whatever a distribution adds: `2.3.2-2~bpo12+2`, `v2.2.6-FreeBSD_g33174af15`."""
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def late_enough(version: Version | None, least: tuple[Version, ...]) -> bool:
    """Whether it is at least the one of its own series, or else the last of them. One that is not known is not."""
    if version is None:
        return False
    own = [each for each in least if each[:2] == version[:2]]
    return version >= (own or [max(least)])[0]


def require_source(host: str, version: str) -> None:
    """Refuse to send by modules that may send something else than there is; `version` as `zfs version` tells it."""
    if not late_enough(parse_version(version), LEAST_SOURCE):
        raise Refused(
            f"{host} has the ZFS kernel modules {_told(version)}; streams of those before 2.0.0 can hold zeroes "
            "in place of files, and cannot always go on where they were cut. Nothing was sent.",
            hint=f"Bring OpenZFS on {host} up to date and restart it: `zfs version` tells both of its parts.",
        )


def require_receiver(host: str, version: str) -> None:
    """Refuse to write to a pool on LUKS by modules that damage it."""
    if not late_enough(parse_version(version), LEAST_ON_LUKS):
        raise Refused(
            f"{host} has the ZFS kernel modules {_told(version)}, which can damage a pool on LUKS volumes; they must "
            "be 2.2.8 or later, or 2.3.0 or later. Nothing was sent.",
            hint="Take a receiver with a later ZFS (receiver.image), and scrub the pool: `ec2zfs pool scrub --wait`.",
        )


def _told(version: str) -> str:
    return version or "of an unknown version"
