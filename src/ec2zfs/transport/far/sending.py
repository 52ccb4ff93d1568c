"""The sending end: one thread reads the command's output and seals it, one for each connection sends, one listens."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time

from ec2zfs.transport.far.buffers import buffer
from ec2zfs.transport.far.command import Command
from ec2zfs.transport.far.connection import Connection
from ec2zfs.transport.far.frames import FLOWS, OVERHEAD, STAND, TOTAL, FrameError, Kind, Sealer
from ec2zfs.transport.far.growth import Growth
from ec2zfs.transport.far.links import Links, start
from ec2zfs.transport.far.orders import Orders
from ec2zfs.transport.far.outbox import Outbox
from ec2zfs.transport.far.pace import Pace
from ec2zfs.transport.far.verdict import Cause, Outcome, Verdict

_LULL_MILLISECONDS = 100
"""A frame that is not full is sent after the command has given nothing for so long."""
_FILLING_SECONDS = 0.5
"""Or so long after its first byte, however steadily the command trickles."""
_MEASURE_SECONDS = 1.0
_MOST_BBR = 8
"""BBR fills a line with a few connections in spite of losses. Many crowd one another out: with 32, on 100 Mbit/s,
200 ms and 1 % loss, a third of what was sent was sent again, and some connections stood still (bench/line_speed.py)."""
_STALL = 5
"""A line whose connections live and carry nothing is given up after so many times the patience for one without any."""


class Sending:
    """Settles DONE only when the receiving end said that its command had taken all and ended well."""

    def __init__(self, orders: Orders, verdict: Verdict) -> None:
        self._orders = orders
        self._verdict = verdict
        self._outbox = Outbox(orders.frames, orders.frame + OVERHEAD)
        self._sealer = Sealer(orders.keys.data)
        self._growth = Growth(orders.flows, orders.most)
        self._measured = (time.monotonic(), 0)
        self._slowed: list[Connection] = []
        self._lost = 0
        self._waiting_since: float | None = None
        self.pace = Pace(orders.rate)
        self.bytes = 0

    @property
    def wanted(self) -> int:
        """How many connections there should be."""
        return self._growth.wanted

    @property
    def held(self) -> int:
        """How many bytes its buffer holds."""
        return self._outbox.held * self._orders.frame

    def begin(self, command: Command) -> threading.Thread:
        """Start to read what the command gives."""
        return start(self._read, command)

    def _read(self, command: Command) -> None:
        plain = buffer(self._orders.frame)
        try:
            while size := self._filled(command.pipe, plain):
                self._put(Kind.DATA, plain[:size])
                self.bytes += size
            self._conclude(command)
        except (OSError, FrameError) as error:
            self._verdict.settle(Outcome(Cause.UNFIT, f"the stream cannot be read: {error}"))

    def _filled(self, pipe: int, room: memoryview) -> int:
        self._waiting_since = time.monotonic()
        size = os.readv(pipe, [room])
        full = time.monotonic() + _FILLING_SECONDS
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        while 0 < size < len(room) and time.monotonic() < full and poll.poll(_LULL_MILLISECONDS):
            more = os.readv(pipe, [room[size:]])
            if more == 0:
                break
            size += more
        self._waiting_since = None
        return size

    def _put(self, kind: Kind, payload: memoryview) -> None:
        room = self._outbox.room()
        if room is not None:
            self._outbox.put(room, self._sealer.seal(kind, payload, room))

    def _conclude(self, command: Command) -> None:
        status = command.wait(self._orders.giving)
        if status is None:
            text = f"the sending command closed its output and ran on for {self._orders.giving:g} s"
            self._verdict.settle(Outcome(Cause.GAVE_NOTHING, text))
        elif status in self._orders.accept:
            self._put(Kind.END, memoryview(TOTAL.pack(self.bytes)))
        # else `look` tells of it

    def look(self, command: Command) -> None:
        """Settle what the command's end or silence means; measure how fast the line is."""
        status, since = command.status, self._waiting_since
        if status is not None and status not in self._orders.accept:
            self._verdict.settle(Outcome(Cause.COMMAND, f"the sending command ended with {status}", status))
        elif since is not None and time.monotonic() - since > self._orders.giving:
            text = f"the sending command gave no data for {self._orders.giving:g} s"
            self._verdict.settle(Outcome(Cause.GAVE_NOTHING, text))
        elif self._outbox.stalled > _STALL * self._orders.patience:
            text = f"nothing came through to the receiver for {_STALL * self._orders.patience:g} s"
            self._verdict.settle(Outcome(Cause.LINE, text))
        self._measure(time.monotonic())

    def _measure(self, now: float) -> None:
        if now - self._measured[0] >= _MEASURE_SECONDS:
            begun = self._outbox.begun
            rate = (begun - self._measured[1]) * self._orders.frame / (now - self._measured[0])
            lost = sum(connection.retransmitted for connection in list(self._slowed))
            line_is_slow, losses_slow = self._outbox.line_is_slow, lost > self._lost
            self._growth.measured(rate, line_is_slow=line_is_slow, losses_slow=losses_slow)
            self._lost = lost
            self._measured = (now, begun)

    def serve(self, connection: Connection) -> None:
        """Send on a connection and hear what the receiver says on it, until it is lost."""
        if connection.finds_its_rate:
            self._growth.most = max(self._orders.flows, min(self._orders.most, _MOST_BBR))
        else:
            self._slowed.append(connection)
        sender = start(self._send, connection)
        try:
            while True:
                self._hear(connection)
        finally:
            connection.close()
            if connection in self._slowed:
                self._slowed.remove(connection)
            sender.join()
            self._outbox.lost(connection)

    def _send(self, connection: Connection) -> None:
        pulse = self._orders.silence / 4
        frame = self._orders.frame
        told = 0.0
        with contextlib.suppress(OSError):
            while self._verdict.outcome is None:
                if time.monotonic() - told >= pulse:
                    connection.tell(Kind.HEARTBEAT, FLOWS.pack(self.wanted))
                    told = time.monotonic()
                if self.pace.turn(frame, pulse):
                    self.pace.refund(frame - self._send_next(connection, pulse))
            return
        connection.close()

    def _send_next(self, connection: Connection, seconds: float) -> int:
        parcel = self._outbox.take(connection, seconds)
        if parcel is None:
            return 0
        try:
            connection.send(parcel.frame)
        finally:
            self._outbox.sent(parcel)
        return parcel.size

    def _hear(self, connection: Connection) -> None:
        header, payload = connection.read()
        if header.kind is Kind.ACK:
            if not self._outbox.acknowledged(*STAND.unpack(payload)):
                raise FrameError("the receiver acknowledges what was never sent")
        elif header.kind is Kind.DONE:
            self._verdict.settle(Outcome(Cause.DONE))
        else:
            self._verdict.settle(Outcome(Cause.PEER, bytes(payload).decode("utf-8", "replace")))

    def close(self) -> None:
        """Let the threads go."""
        self._outbox.close()

    def part(self, links: Links, outcome: Outcome) -> None:
        """Tell the other end how this one ended."""
        if outcome.cause is Cause.DONE:
            links.part(Kind.BYE)
        elif outcome.cause is not Cause.PEER:
            links.part(Kind.ABORT, outcome.told)
        links.close()
