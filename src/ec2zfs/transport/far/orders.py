"""What an end is told on its standard input: one JSON object in the first line; later lines change the rate."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, fields
from typing import Any

from ec2zfs.transport.far.frames import LONGEST_DATA
from ec2zfs.transport.far.keys import TransferKeys
from ec2zfs.transport.far.seals import AES, BLAKE2B, HAS_AES

_FEWEST_FRAMES = 4
_SMALLEST_FRAME = 1024
_PART_OF_MEMORY = 8
_WORDS = ("argv", "accept", "ending", "ports", "through")


class OrdersError(Exception):
    """What came on standard input are no orders."""


@dataclass(frozen=True)
class Orders:
    """All that an end has to know. Both ends of a transfer get the same `secret` (hex), `buffer` and `frame`.

    `sends`: whether the command's output is sent, else its input is received. `listens`: on `address` and a port from
    the first to the last of `ports`; else it connects to `address` and the first of them. `flows` and `most`: how many
    connections at first, and at the most. `buffer` and `frame` in bytes, `rate` in bytes a second (None: no limit).
    `accept`: the command's exit codes that are good. `descriptor`: an inherited one that the command reads (if its
    output is sent) or writes; else it reads nothing, and what it prints is dropped. `ending`: words of a program that
    ends what the command does elsewhere, where it is only the way to it (ssh); without words, it does all itself.
    `congestion`: the kernel's name of a congestion control, "" for its default.

    `seal`: what frames are sealed with; "" for the best that this host has. `through`: words of a program whose
    standard input and output are a connection to the peer, in place of a TCP connection.

    In seconds: a connection is lost after `silence`, the transfer after `patience` without one; `giving`, how long the
    sending command may give nothing and the receiving one take to end; `taking`, how long it may take nothing; `whole`,
    how long all may last.
    """

    sends: bool
    listens: bool
    address: str
    ports: tuple[int, int]
    secret: str
    argv: tuple[str, ...]
    accept: tuple[int, ...] = (0,)
    descriptor: int | None = None
    ending: tuple[str, ...] = ()
    flows: int = 4
    most: int = 32
    buffer: int = 128 << 20
    frame: int = 1 << 20
    rate: float | None = None
    congestion: str = "bbr"
    seal: str = AES
    through: tuple[str, ...] = ()
    silence: float = 12.0
    patience: float = 60.0
    giving: float = 6 * 3600.0
    taking: float = 1800.0
    whole: float = 14 * 86400.0

    @property
    def keys(self) -> TransferKeys:
        """The keys of the transfer."""
        return TransferKeys(bytes.fromhex(self.secret), self.sealed_with)

    @property
    def sealed_with(self) -> str:
        """What the frames of this transfer are sealed with."""
        return self.seal or (AES if HAS_AES else BLAKE2B)

    @property
    def frames(self) -> int:
        """How many frames the buffer of this end holds: no more than an eighth of the machine's memory.

        The receiver also has a buffer for each connection, which is part of it.
        """
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        frames = min(self.buffer, memory // _PART_OF_MEMORY) // self.frame
        return max(_FEWEST_FRAMES, frames if self.sends else frames - self.most)


def parsed(line: bytes) -> Orders:
    """The orders of a first line; raises `OrdersError` for any that cannot be followed."""
    given = _object(line)
    known = {field.name for field in fields(Orders)}
    try:
        if given.keys() - known:
            raise OrdersError(f"unknown orders: {', '.join(sorted(given.keys() - known))}")
        given.update({name: tuple(given[name]) for name in _WORDS if name in given})
        orders = Orders(**given)
        orders.keys  # noqa: B018 - raises for a secret that is none
        if not (orders.argv and _SMALLEST_FRAME <= orders.frame <= LONGEST_DATA and 0 < orders.flows <= orders.most):
            raise OrdersError("orders without a command, or with impossible sizes")
    except (TypeError, ValueError) as error:
        raise OrdersError(f"these are no orders: {error}") from error
    if orders.seal not in {"", AES, BLAKE2B}:
        raise OrdersError(f"unknown seal {orders.seal!r}")
    if orders.sealed_with == AES and not HAS_AES:
        raise ModuleNotFoundError("this host has no such module", name="cryptography")
    return orders


def rate_of(line: bytes) -> float | None:
    """The rate that a later line wants, in bytes a second (None: no limit); raises `OrdersError`."""
    rate = _object(line).get("rate")
    if rate is None:
        return None
    if isinstance(rate, (int, float)) and rate > 0:
        return float(rate)
    raise OrdersError("a rate is a number of bytes a second, or null")


def _object(line: bytes) -> dict[str, Any]:
    try:
        given = json.loads(line)
    except ValueError as error:
        raise OrdersError(f"this is no JSON: {error}") from error
    if not isinstance(given, dict):
        raise OrdersError("orders are one JSON object")
    return given
