"""Which ZFS may send and which may receive, by its version as distributions write it."""

from __future__ import annotations

import pytest

from ec2zfs.errors import Refused
from ec2zfs.plan.zfs_gate import parse_version, require_receiver, require_source


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("2.3.2-1", (2, 3, 2)),
        ("2.3.2-2~bpo12+2", (2, 3, 2)),
        ("2.2.2-0ubuntu9.4", (2, 2, 2)),
        ("2.1.5-1ubuntu6~22.04.6", (2, 1, 5)),
        ("v2.2.6-FreeBSD_g33174af15", (2, 2, 6)),
        ("2.2.99-518_FreeBSD_g95f71c019", (2, 2, 99)),
        ("2.10.0", (2, 10, 0)),
        ("", None),
        ("master", None),
    ],
)
def test_versions_are_read(text: str, version: tuple[int, int, int] | None) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize(
    ("version", "sends", "receives"),
    [
        ("0.8.6-1", False, False),
        ("2.0.0-1", True, False),
        ("2.1.16-1", True, False),
        ("2.2.2-0ubuntu9", True, False),
        ("2.2.7-1", True, False),
        ("2.2.8-1", True, True),
        ("2.3.0-1", True, True),
        ("2.3.2-2~bpo12+2", True, True),
        ("2.4.1-1", True, True),
        ("3.0.0", True, True),
        ("", False, False),
    ],
)
def test_what_would_damage_data_is_refused_with_its_reason(version: str, sends: bool, receives: bool) -> None:
    for require, fit, reason in (
        (require_source, sends, "in place of files"),
        (require_receiver, receives, "can damage a pool on LUKS volumes"),
    ):
        if fit:
            require("site", version)
            continue
        with pytest.raises(Refused, match=reason) as caught:
            require("site", version)
        assert (version or "unknown version") in caught.value.message
