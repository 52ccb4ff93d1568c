"""One end of a stream, from its orders to its end. The main thread starts, watches and ends; it moves no data.

Standard input brings the orders; when it ends, the controller or the ssh session is gone, and so is this process.
Standard output tells events; standard error is the command's, and a sentence of ours when it was not the command.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import BinaryIO, Protocol

from ec2zfs.transport.far.command import Command
from ec2zfs.transport.far.connection import Connection
from ec2zfs.transport.far.events import Events
from ec2zfs.transport.far.links import Connecting, Links, Listening, start
from ec2zfs.transport.far.orders import Orders, OrdersError, parsed, rate_of
from ec2zfs.transport.far.receiving import Receiving
from ec2zfs.transport.far.sending import Sending
from ec2zfs.transport.far.verdict import Cause, Outcome, Verdict

_TICK_SECONDS = 0.1
_PROGRESS_SECONDS = 1.0
_SPOKEN_FOR = frozenset({Cause.DONE, Cause.COMMAND, Cause.EARLY})
"""Causes that need no sentence of ours on standard error."""


class Role(Protocol):
    """What the sending and the receiving end have in common."""

    bytes: int

    @property
    def wanted(self) -> int:
        """How many connections there should be."""
        ...

    @property
    def held(self) -> int:
        """How many bytes its buffer holds."""
        ...

    def begin(self, command: Command) -> threading.Thread:
        """Start to move data from or to the command."""
        ...

    def look(self, command: Command) -> None:
        """Settle what has become of the command."""
        ...

    def serve(self, connection: Connection) -> None:
        """Use a connection until it is lost."""
        ...

    def close(self) -> None:
        """Let the threads go."""
        ...

    def part(self, links: Links, outcome: Outcome) -> None:
        """Tell the other end how this one ended."""
        ...


class _Signalled(Exception):
    """We were asked to end."""


class End:
    """One end of one stream."""

    def __init__(self, orders: Orders, events: Events) -> None:
        self._orders = orders
        self._events = events
        self._verdict = Verdict()
        self._sending = Sending(orders, self._verdict) if orders.sends else None
        self._role: Role = self._sending or Receiving(orders, self._verdict)
        self._links = Links(orders, events, self._role.serve)
        self._connecting: Connecting | None = None
        self._listening: Listening | None = None
        self._command: Command | None = None
        self._mover: threading.Thread | None = None
        self._begun = time.monotonic()

    def run(self, more: BinaryIO) -> Outcome:
        """Carry the stream; `more` is where later orders come from. The command has ended when this returns."""
        try:
            outcome = self._carried(more)
        except _Signalled:
            outcome = Outcome(Cause.SIGNAL, "it was asked to end")
        except FileNotFoundError as error:
            outcome = Outcome(Cause.MISSING, f"there is no program {error.filename}")
        except OSError as error:
            outcome = Outcome(Cause.UNFIT, str(error))
        except Exception as error:  # noqa: BLE001 - a defect of ours also has to end the command and be told
            outcome = Outcome(Cause.UNFIT, f"{type(error).__name__}: {error}")
        with contextlib.suppress(_Signalled):
            self._verdict.settle(outcome)
            self._conclude(outcome)
        self._tell_progress()
        return outcome

    def _carried(self, more: BinaryIO) -> Outcome:
        start(self._listen_to, more)
        if self._orders.listens:
            self._listening = Listening(self._links, self._orders)
            self._events.tell("ready", port=self._listening.port, seal=self._orders.sealed_with)
        else:
            self._connecting = Connecting(self._links, self._orders, lambda: self._role.wanted)
        told = self._begun
        while (outcome := self._verdict.wait(_TICK_SECONDS)) is None:
            self._look()
            if time.monotonic() - told >= _PROGRESS_SECONDS:
                self._tell_progress()
                told = time.monotonic()
        return outcome

    def _look(self) -> None:
        orders = self._orders
        if self._command is None and self._links.ever:
            self._command = Command(orders.argv, gives=orders.sends, descriptor=orders.descriptor, ending=orders.ending)
            self._mover = self._role.begin(self._command)
        if self._command is not None:
            self._role.look(self._command)
        if self._links.lonely > self._orders.patience:
            trouble = f": {self._connecting.trouble}" if self._connecting and self._connecting.trouble else ""
            text = f"there was no connection to the other end for {self._orders.patience:g} s{trouble}"
            self._verdict.settle(Outcome(Cause.LINE, text))
        if time.monotonic() - self._begun > self._orders.whole:
            self._verdict.settle(Outcome(Cause.LIMIT, f"it took longer than {self._orders.whole:g} s"))

    def _conclude(self, outcome: Outcome) -> None:
        self._role.close()
        parting = start(self._role.part, self._links, outcome)
        if self._command is not None and outcome.cause is not Cause.DONE:
            self._command.end()
        parting.join()
        if self._listening is not None:
            self._listening.close()
        if self._command is not None and self._mover is not None:
            self._mover.join(_TICK_SECONDS)
            if not self._mover.is_alive():
                self._command.close()

    def _listen_to(self, more: BinaryIO) -> None:
        for line in more:
            with contextlib.suppress(OrdersError):
                if self._sending is not None:
                    self._sending.pace.change(rate_of(line))
        self._verdict.settle(Outcome(Cause.ORPHAN, "its controller is gone"))

    def _tell_progress(self) -> None:
        self._events.tell(
            "progress",
            bytes=self._role.bytes,
            flows=len(self._links.alive),
            held=self._role.held,
            buffer=self._orders.frames * self._orders.frame,
            retransmitted=self._links.retransmitted,
        )


def main(orders: BinaryIO) -> None:
    """Be one end, and exit with the code of what became of it."""
    events = Events()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _asked_to_end)
    try:
        outcome = End(parsed(orders.readline()), events).run(orders)
    except OrdersError as error:
        outcome = Outcome(Cause.UNFIT, str(error))
    except _Signalled:
        outcome = Outcome(Cause.SIGNAL, "it was asked to end")
    events.tell("ended", cause=outcome.cause.value, text=outcome.text, status=outcome.status)
    if outcome.cause not in _SPOKEN_FOR:
        with contextlib.suppress(OSError):
            os.write(sys.stderr.fileno(), f"ec2zfs stream: {outcome.text}\n".encode())
    os._exit(outcome.cause.code)  # threads that wait for a line that is dead are not waited for


def _asked_to_end(_number: int, _frame: FrameType | None) -> None:
    for again in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(again, signal.SIG_IGN)
    raise _Signalled
