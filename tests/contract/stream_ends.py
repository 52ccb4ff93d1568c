"""Both ends of a stream as threads of this process, the sending one behind a meddler."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from tests.contract.meddler import Meddler, Meddling, untouched

from ec2zfs.transport.far.events import Events
from ec2zfs.transport.far.main import End
from ec2zfs.transport.far.orders import Orders
from ec2zfs.transport.far.verdict import Cause, Outcome

KIB, MIB = 1 << 10, 1 << 20

QUICK = Orders(
    sends=False,
    listens=True,
    address="127.0.0.1",
    ports=(0, 0),
    secret="",
    argv=("cat",),
    flows=4,
    most=4,
    buffer=4 * MIB,
    frame=64 * KIB,
    silence=2.0,
    patience=5.0,
)
"""Of a receiving end, whose troubles are noticed soon."""


class Heard(Events):
    """Keeps what an end tells."""

    def __init__(self) -> None:
        self.told: list[dict[str, str | int | None]] = []
        self.ready = threading.Event()

    def tell(self, event: str, **facts: str | int | None) -> None:
        self.told.append({"event": event, **facts})
        if event == "ready":
            self.ready.set()

    def of(self, event: str) -> list[dict[str, str | int | None]]:
        """All events of a kind."""
        return [told for told in self.told if told["event"] == event]


@dataclass
class Running:
    """An end while it runs; what is written to `more` are later orders."""

    orders: Orders
    heard: Heard = field(default_factory=Heard)

    def __post_init__(self) -> None:
        reading, self._writing = os.pipe()
        self.more = os.fdopen(reading, "rb")

    def order(self, line: bytes) -> None:
        """Write a later line of orders."""
        os.write(self._writing, line)

    def orphan(self) -> None:
        """As when its controller dies."""
        os.close(self._writing)
        self._writing = -1

    def run(self) -> Outcome:
        """Be that end, from its beginning to its end."""
        outcome = End(self.orders, self.heard).run(self.more)
        if self._writing >= 0:
            self.orphan()
        self.more.close()
        return outcome


@dataclass
class Stream:
    """A sending and a receiving command, each a script, and what is done to the frames between them."""

    sending: str
    receiving: str
    meddling: Meddling = untouched
    orders: Orders = QUICK

    def __post_init__(self) -> None:
        common = replace(self.orders, secret=secrets.token_hex(32))
        self.receiver = Running(replace(common, argv=("sh", "-c", self.receiving)))
        self.sender = Running(replace(common, sends=True, listens=False, argv=("sh", "-c", self.sending)))
        self.meddler: Meddler | None = None

    @property
    def port(self) -> int:
        """Where the receiver listens, once it does."""
        assert self.receiver.heard.ready.wait(10)
        (ready,) = self.receiver.heard.of("ready")
        return int(ready["port"] or 0)

    def run(self, meanwhile: Callable[[Stream], None] = lambda _: None) -> tuple[Cause, Cause]:
        """How the sender and the receiver ended; `meanwhile` is done while they run."""
        with ThreadPoolExecutor(2) as pool:
            receiving = pool.submit(self.receiver.run)
            self.meddler = Meddler(self.port, self.meddling)
            self.sender.orders = replace(self.sender.orders, ports=(self.meddler.port, self.meddler.port))
            sending = pool.submit(self.sender.run)
            try:
                meanwhile(self)
                return sending.result().cause, receiving.result().cause
            finally:
                self.meddler.close()
