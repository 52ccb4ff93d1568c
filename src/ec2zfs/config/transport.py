"""The section of how streams travel."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from ec2zfs.config.described import Section, key
from ec2zfs.config.rates import NO_LIMIT, Rate
from ec2zfs.config.values import refusal
from ec2zfs.model.stream_mode import StreamMode

_LEAST_PORT, _MOST_PORT = 1024, 65_535


def _port_range(text: str) -> str:
    found = re.fullmatch(r"(\d{1,5})-(\d{1,5})", text)
    if not found or not _LEAST_PORT <= int(found[1]) <= int(found[2]) <= _MOST_PORT:
        raise refusal("must be two ports from 1024 to 65535, such as 28300-28315")
    return text


class TransportSection(Section):
    """How streams travel between this machine and the receiver."""

    mode: StreamMode = key(
        "The way: direct goes to a port of the receiver, sealed, over several connections, which fills the line; ssh"
        " goes through the ssh connection, ssh-striped through several; auto is direct where the port can be reached,"
        " else ssh-striped, and ssh for streams below 8 MiB",
        StreamMode.AUTO,
    )
    ports: Annotated[str, AfterValidator(_port_range)] = key(
        "TCP ports of the receiver for direct, one for each stream at a time; they are open to this machine's address"
        " only, and only while streams are under way",
        "28300-28315",
    )
    buffer_mib: Annotated[int, Field(strict=True, ge=8, le=16_384)] = key(
        "How much of a stream each side may hold for direct, and never more than an eighth of its memory",
        128,
        unit="MiB",
    )
    flows: Annotated[int, Field(strict=True, ge=1, le=128)] = key(
        "How many connections one stream may use for direct; it uses as many as make it faster",
        32,
        unit="connections",
    )

    rate: Rate | None = key(
        'The most that all streams together may send, such as "20 MB/s" or "100 Mbit/s", outside of the times of any'
        " [[rate_window]]; those under way share it equally",
        None,
        example="20 MB/s",
        words=NO_LIMIT,
    )

    @property
    def port_range(self) -> tuple[int, int]:
        """The first and the last port."""
        first, _, last = self.ports.partition("-")
        return int(first), int(last)
