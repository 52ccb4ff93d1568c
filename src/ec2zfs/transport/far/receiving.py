"""The receiving end: one thread for each connection reads and opens, one gives the stream to the command."""

from __future__ import annotations

import contextlib
import os
import threading
import time

from ec2zfs.transport.far.command import Command
from ec2zfs.transport.far.connection import Connection
from ec2zfs.transport.far.frames import FLOWS, OF_STREAM, STAND, TOTAL, Kind, Opener
from ec2zfs.transport.far.inbox import Inbox
from ec2zfs.transport.far.links import Links, start
from ec2zfs.transport.far.orders import Orders
from ec2zfs.transport.far.verdict import Cause, Outcome, Verdict

_FAREWELL_SECONDS = 15.0
_ACKNOWLEDGE_SECONDS = 0.02
"""While more comes, what came on any connection is acknowledged so often; at once where nothing more does."""


class Receiving:
    """Settles DONE only when END was opened, the stream was as long as it says, and the command ended well.

    The command sees the end of its input after END alone.
    """

    def __init__(self, orders: Orders, verdict: Verdict) -> None:
        self._orders = orders
        self._verdict = verdict
        self._inbox = Inbox(orders.frames, orders.frame)
        self._opener = Opener(orders.keys.data)
        self._writing_since: float | None = None
        self._ended = False
        self._bye = threading.Event()
        self._alive: list[Connection] = []
        self._told = 0
        self._acknowledged = 0.0
        self.wanted = orders.flows
        self.bytes = 0

    @property
    def held(self) -> int:
        """How many bytes its buffer holds."""
        return self._inbox.held * self._orders.frame

    def begin(self, command: Command) -> threading.Thread:
        """Start to give the command what comes."""
        return start(self._write, command)

    def _write(self, command: Command) -> None:
        try:
            while (piece := self._inbox.take()) is not None and piece.kind is Kind.DATA:
                self._give(command.pipe, piece.data)
                self._inbox.taken(piece)
                self._tell_room()
            if piece is not None:
                self._conclude(command, TOTAL.unpack(piece.data)[0])
        except BrokenPipeError:
            if command.wait(self._orders.giving) is not None:
                self._judge(command)

    def _give(self, pipe: int, data: memoryview) -> None:
        while data:
            self._writing_since = time.monotonic()
            size = os.write(pipe, data)
            self.bytes += size
            data = data[size:]
        self._writing_since = None

    def _conclude(self, command: Command, total: int) -> None:
        if total != self.bytes:
            self._verdict.settle(Outcome(Cause.UNFIT, f"the stream has {self.bytes} bytes, and {total} were sent"))
            return
        self._ended = True
        command.close()
        if command.wait(self._orders.giving) is None:
            text = f"the receiving command has not ended {self._orders.giving:g} s after its input"
            self._verdict.settle(Outcome(Cause.GAVE_NOTHING, text))
        else:
            self._judge(command)

    def _judge(self, command: Command) -> None:
        status = command.status
        if status not in self._orders.accept:
            outcome = Outcome(Cause.COMMAND, f"the receiving command ended with {status}", status)
        elif not self._ended:
            outcome = Outcome(Cause.EARLY, "the receiving command ended before it had read the whole stream", status)
        else:
            outcome = Outcome(Cause.DONE)
        self._verdict.settle(outcome)

    def look(self, command: Command) -> None:
        """Settle what the command's end, or that it takes nothing, means."""
        since = self._writing_since
        if command.status is not None and (self._ended or command.status not in self._orders.accept):
            self._judge(command)  # one that ended well may have read all that there was, without looking for the end
        elif since is not None and time.monotonic() - since > self._orders.taking:
            text = f"the receiving command took no data for {self._orders.taking:g} s"
            self._verdict.settle(Outcome(Cause.TOOK_NOTHING, text))

    def serve(self, connection: Connection) -> None:
        """Take in what comes on a connection, until it is lost or the sender parts."""
        over = threading.Event()
        self._alive.append(connection)
        pulse = start(self._pulse, connection, over)
        try:
            while self._hear(connection):
                pass
        finally:
            over.set()
            connection.close()
            pulse.join()
            self._alive.remove(connection)

    def _pulse(self, connection: Connection, over: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while not over.is_set():
                self._acknowledge(connection)
                outcome = self._verdict.outcome
                if outcome is not None and outcome.cause is Cause.DONE:
                    connection.tell(Kind.DONE)
                over.wait(self._orders.silence / 4)

    def _acknowledge(self, connection: Connection) -> None:
        self._acknowledged = time.monotonic()
        stand = self._inbox.stand
        self._told = max(self._told, stand[1])
        connection.tell(Kind.ACK, STAND.pack(*stand))

    def _tell_room(self) -> None:
        """Tell the sender of room in the window that has grown while nothing came in."""
        grown = self._inbox.stand[1] - self._told
        if grown >= max(1, self._orders.frames // 4):
            with contextlib.suppress(OSError, IndexError):
                self._acknowledge(self._alive[-1])

    def close(self) -> None:
        """Let the threads go."""
        self._inbox.close()

    def part(self, links: Links, outcome: Outcome) -> None:
        """Tell the other end how this one ended."""
        if outcome.cause is Cause.DONE:
            links.tell(Kind.DONE)
            self._bye.wait(_FAREWELL_SECONDS)
        elif outcome.cause is not Cause.PEER:
            links.part(Kind.FAIL, outcome.told)
        links.close()

    def _hear(self, connection: Connection) -> bool:
        header, payload = connection.read()
        if header.kind in OF_STREAM:
            room = self._inbox.room()
            self._opener.open(header, payload, room[: header.length])
            self._inbox.put(header, room)
            if time.monotonic() - self._acknowledged >= _ACKNOWLEDGE_SECONDS or not connection.more:
                self._acknowledge(connection)
        elif header.kind is Kind.HEARTBEAT:
            self.wanted = max(self.wanted, min(FLOWS.unpack(payload)[0], self._orders.most))
        elif header.kind is Kind.BYE:
            self._bye.set()
        else:
            self._verdict.settle(Outcome(Cause.PEER, bytes(payload).decode("utf-8", "replace")))
        return header.kind not in {Kind.BYE, Kind.ABORT}
