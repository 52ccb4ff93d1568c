"""What an end takes for orders, and what it does not."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from ec2zfs.transport.far.orders import Orders, OrdersError, parsed, rate_of

MIB = 1 << 20
GOOD = Orders(
    sends=False, listens=True, address="0.0.0.0", ports=(9000, 9009), secret="00" * 32, argv=("zfs", "receive")
)


def line(**changes: object) -> bytes:
    return json.dumps({**asdict(GOOD), **changes}).encode()


def test_orders_travel_whole() -> None:
    assert parsed(line()) == GOOD


def test_what_has_a_default_may_be_left_out() -> None:
    short = {name: asdict(GOOD)[name] for name in ("sends", "listens", "address", "ports", "secret", "argv")}
    assert parsed(json.dumps(short).encode()) == GOOD


@pytest.mark.parametrize(
    "changes",
    [
        {"colour": "green"},
        {"secret": "00"},
        {"secret": "no hex"},
        {"argv": []},
        {"ports": 9000},
        {"frame": 1 << 30},
        {"frame": 0},
        {"flows": 0},
        {"flows": 33},
    ],
    ids=str,
)
def test_orders_that_cannot_be_followed(changes: dict[str, object]) -> None:
    with pytest.raises(OrdersError):
        parsed(line(**changes))


@pytest.mark.parametrize("text", [b"", b"\n", b"[1]", b"{", b"{}", b"\xff\xfe"])
def test_what_is_no_orders(text: bytes) -> None:
    with pytest.raises(OrdersError):
        parsed(text)


@pytest.mark.parametrize(("text", "rate"), [(b'{"rate": 1e6}', 1e6), (b'{"rate": null}', None), (b"{}", None)])
def test_a_rate_can_be_changed(text: bytes, rate: float | None) -> None:
    assert rate_of(text) == rate


@pytest.mark.parametrize("text", [b'{"rate": 0}', b'{"rate": -5}', b'{"rate": "fast"}', b"fast"])
def test_what_is_no_rate(text: bytes) -> None:
    with pytest.raises(OrdersError):
        rate_of(text)


def test_a_buffer_is_never_more_than_an_eighth_of_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 512 * MIB // 4096}.__getitem__)
    sender = parsed(line(sends=True, buffer=128 * MIB))
    assert sender.frames == 64
    assert parsed(line(buffer=128 * MIB)).frames == 32
    assert parsed(line(buffer=2 * MIB)).frames == 4
