"""The accelerated form of transport: straight from host to host, sealed, over as many connections as make it faster.

The controller starts both ends, gives them a secret that is made for this transfer, and judges them; no byte of the
stream passes through it.
"""

from __future__ import annotations

import secrets
import select
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ec2zfs.errors import HostError, Refused
from ec2zfs.hosts.halting import heed
from ec2zfs.hosts.host import Host, Stage
from ec2zfs.hosts.local import LocalHost
from ec2zfs.hosts.pipeline import IdleLimits
from ec2zfs.hosts.running import end_all
from ec2zfs.hosts.secret import Secret
from ec2zfs.hosts.ssh import SshHost
from ec2zfs.hosts.throttle import Rate
from ec2zfs.model.line import Line
from ec2zfs.transport.audience import Audience
from ec2zfs.transport.bundle import joining_argv
from ec2zfs.transport.end import End
from ec2zfs.transport.far.keys import SECRET_BYTES
from ec2zfs.transport.far.orders import Orders
from ec2zfs.transport.far.seals import AES
from ec2zfs.transport.limit import Limit
from ec2zfs.transport.relay import Relay
from ec2zfs.transport.ssh import LIMITS
from ec2zfs.transport.transport import unwatched

MIB = 1 << 20
FIRST_FLOWS = 4
MOST_STRIPES = 8
"""Connections of ssh at the most: a server refuses some when many are about to log in (MaxStartups, 10)."""
_LOOPBACK = "127.0.0.1"
_TICK_SECONDS = 0.2
_READY_SECONDS = 60.0
_FOLLOWS_SECONDS = 8.0
"""After one end has failed, the other learns of it by the line; else it is ended."""


def address_of(host: Host) -> str:
    """The address under which the other end reaches a host: the one that ssh uses, or loopback."""
    return host.target.address if isinstance(host, SshHost) else _LOOPBACK


@dataclass(frozen=True)
class DirectTransport:
    """Carries by two ends that speak to each other (`far/`). Safe to use from several threads.

    The receiving end listens, unless it is here and the sending one is not: a host that is far can be reached, and the
    controller perhaps cannot. `relayed`: a host behind ssh whose end runs here, so that nothing has to reach it, nor it
    anything; its command is run through ssh. `ports`: the range of which one is listened on (0, 0: any). `buffer`:
    bytes that each end may hold, at most an eighth of its memory. `flows`: connections at first, and at the most.
    `python`: the program on a host behind ssh. `congestion`: as in `Orders`. `stripes`: the connections are ssh ones,
    each of its own, to a listener on loopback; so one of the ends has to run here. `limit`: the rate of all streams
    together. `reached`: the address and port under which the other end reaches a port of a host.
    """

    ports: tuple[int, int] = (0, 0)
    buffer: int = 128 * MIB
    flows: tuple[int, int] = (FIRST_FLOWS, 32)
    limits: IdleLimits = LIMITS
    python: str = "python3"
    congestion: str = "bbr"
    silence: float = 12.0
    patience: float = 60.0
    relayed: SshHost | None = None
    stripes: bool = False
    limit: Limit = field(default_factory=Limit)
    reached: Callable[[Host, int], tuple[str, int]] = lambda host, port: (address_of(host), port)

    def open_address(self, host: Host) -> str:
        """Where an end on a host listens: everywhere, as a machine in EC2 does not have the address it is known by."""
        return "::" if ":" in address_of(host) else "0.0.0.0"  # noqa: S104 - whoever has no proof is refused

    def carry(
        self,
        sender: Stage,
        receiver: Stage,
        meter: Callable[[int], None],
        watch: Callable[[Line], None] = unwatched,
    ) -> None:
        """See `Transport.carry`. `meter` hears once a second what the receiving command has taken."""
        secret = Secret(secrets.token_bytes(SECRET_BYTES))
        ends: list[End] = []
        try:
            with self.limit.stream() as rate:
                transfer = _Transfer(sender, receiver, secret, self.relayed, rate)
                self._carry(transfer, ends, Audience(meter, watch))
        except BaseException:
            end_all([end.running for end in sorted(ends, key=lambda end: end.stage is receiver)])
            raise
        finally:
            for end in ends:
                end.running.close()

    def _carry(self, transfer: _Transfer, ends: list[End], audience: Audience) -> None:
        listener, connector = transfer.by_place()
        if self.stripes and not transfer.is_here(connector):
            raise Refused(f"{listener.host.name} and {connector.host.name} are both far: ssh-striped serves one only.")
        ends.append(self._started(transfer, listener, None))
        port = _port(ends[0])
        if port is not None:
            ends.append(self._started(transfer, connector, self._peer(listener, port), ends[0]))
        failed: float | None = None
        while not all(end.over and end.running.status is not None for end in ends):
            heed()
            _hear(ends)
            audience.tell(transfer.in_order(ends), transfer.held_to_rate(ends))
            if failed is None and any(end.failed for end in ends):
                failed = time.monotonic()
            if any(end.lost for end in ends) or (failed and time.monotonic() - failed > _FOLLOWS_SECONDS):
                break
        if not all(end.done for end in ends):
            # Of two that blame the line, the one that connects knows more.
            raise min((end for end in reversed(ends) if not end.done), key=lambda end: end.guilt).explained()

    def _peer(self, listener: Stage, port: int) -> tuple[str, int]:
        return (_LOOPBACK, port) if self.stripes else self.reached(listener.host, port)

    def _started(
        self, transfer: _Transfer, stage: Stage, peer: tuple[str, int] | None, listening: End | None = None
    ) -> End:
        relay = Relay(self.relayed, stage.command) if self.relayed and stage.host is self.relayed else None
        inside = self.stripes or transfer.all_here
        orders = Orders(
            sends=stage is transfer.sender,
            listens=peer is None,
            address=peer[0] if peer else _LOOPBACK if inside else self.open_address(stage.host),
            seal=AES if not self.stripes else listening.seal if listening else "",
            through=self._through(listening) if listening and self.stripes else (),
            ports=self.ports if peer is None else (peer[1], peer[1]),
            secret=transfer.secret.reveal().hex(),
            argv=relay.command.argv if relay else stage.command.argv,
            ending=relay.ending if relay else (),
            descriptor=stage.descriptor,
            accept=tuple(stage.command.accept),
            flows=self.flows[0],
            most=self.flows[1],
            buffer=self.buffer,
            frame=_frame(self.buffer),
            congestion=self.congestion,
            silence=self.silence,
            patience=self.patience,
            rate=transfer.rate() if stage is transfer.sender else None,
            giving=self.limits.giving,
            taking=self.limits.taking,
        )
        return End(stage, orders, sys.executable if transfer.is_here(stage) else self.python, relay)

    def _through(self, listening: End) -> tuple[str, ...]:
        """The words that make a connection to the listening end by ssh; none where it is here."""
        host = listening.stage.host
        if not isinstance(host, SshHost):
            return ()
        return tuple(host.apart_argv(joining_argv(self.python, listening.port or 0)))


@dataclass(frozen=True)
class _Transfer:
    sender: Stage
    receiver: Stage
    secret: Secret
    relayed: SshHost | None
    rate: Rate

    def held_to_rate(self, ends: Sequence[End]) -> float | None:
        """Tell the sending end the rate that holds now, if that is another than it knows; the rate."""
        rate = self.rate()
        for end in ends:
            if end.stage is self.sender:
                end.hold_to(rate)
        return rate

    def is_here(self, stage: Stage) -> bool:
        """Whether the end of this stage runs on the controller."""
        return stage.host is self.relayed or isinstance(stage.host, LocalHost)

    def by_place(self) -> tuple[Stage, Stage]:
        """The stage that listens, and the one that connects to it."""
        if self.is_here(self.receiver) and not self.is_here(self.sender):
            return self.sender, self.receiver
        return self.receiver, self.sender

    def in_order(self, ends: Sequence[End]) -> list[End]:
        """The sending end and the receiving one, as far as they were started."""
        return sorted(ends, key=lambda end: end.stage is self.receiver)

    @property
    def all_here(self) -> bool:
        """Whether both ends run on the controller."""
        return self.is_here(self.sender) and self.is_here(self.receiver)


def _frame(buffer: int) -> int:
    """Frames of 256 KiB, or smaller ones for a small buffer, which is to hold at least 512 of them.

    Of many connections over a line that loses, one may carry a tenth of what the others do. What comes after its frame
    waits in the buffer, which has to be larger than what the others carry meanwhile.
    """
    return max(64 << 10, min(256 << 10, buffer // 512))


def _port(end: End) -> int | None:
    """Where it listens, once it does; None when it has ended before."""
    deadline = time.monotonic() + _READY_SECONDS
    while end.port is None and not end.over:
        heed()
        _hear([end])
        if time.monotonic() > deadline:
            raise HostError(
                f"On {end.stage.host.name}, the receiver of the stream did not start in {_READY_SECONDS:g} s."
            )
    return end.port


def _hear(ends: Sequence[End]) -> None:
    poll = select.poll()
    outputs = {end.running.output: end for end in ends if not end.over}
    errors = {end.running.errors: end for end in ends if end.running.errors is not None}
    for number in (*outputs, *errors):
        poll.register(number, select.POLLIN)
    for number, _ in poll.poll(_TICK_SECONDS * 1000 if outputs else 10):
        if number in outputs:
            outputs[number].hear()
        else:
            errors[number].running.hear()
