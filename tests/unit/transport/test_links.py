"""How long a connection may take to prove itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.transport.test_orders import GOOD

from ec2zfs.transport.far.connection import Connection
from ec2zfs.transport.far.events import Events
from ec2zfs.transport.far.links import Links
from ec2zfs.transport.far.orders import Orders


def unused(_: Connection) -> None:
    raise AssertionError("there is no connection")


@pytest.mark.parametrize(
    ("orders", "seconds"),
    [
        (GOOD, 5),
        (replace(GOOD, listens=False, address="192.0.2.1"), 5),
        (replace(GOOD, address="127.0.0.1"), 30),
        (replace(GOOD, listens=False, address="127.0.0.1", through=("ssh", "host")), 30),
    ],
    ids=["listens to all", "connects", "listens to what programs carry", "connects by a program"],
)
def test_what_a_program_carries_has_longer_at_both_ends(orders: Orders, seconds: float) -> None:
    assert Links(orders, Events(), unused).handshake.seconds == seconds
