"""The section on how streams travel."""

from __future__ import annotations

from ec2zfs.config.described import Section, key
from ec2zfs.config.rates import NO_LIMIT, Rate


class TransportSection(Section):
    """How streams travel to the receiver."""

    rate: Rate | None = key(
        'The most that all streams together may send, such as "20 MB/s" or "100 Mbit/s", outside of the times of any'
        " [[rate_window]]; those under way share it equally",
        None,
        example="20 MB/s",
        words=NO_LIMIT,
    )
