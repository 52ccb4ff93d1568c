"""One end of an accelerated stream as its controller sees it: the process, what it tells, and what its end means."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from ec2zfs.errors import CommandFailed, HostError
from ec2zfs.hosts import faults
from ec2zfs.hosts.host import Command, Stage
from ec2zfs.hosts.running import Running
from ec2zfs.hosts.spoken import tell
from ec2zfs.transport.bundle import end_argv, program
from ec2zfs.transport.far.orders import Orders
from ec2zfs.transport.far.verdict import Cause
from ec2zfs.transport.relay import Relay

LOG = logging.getLogger("ec2zfs.stream")

_LONGEST_LINE = 64 << 10
_STATUS_SECONDS = 2.0
"""So long after its last word a process may take to end."""
_OWN_FAULT = (
    Cause.COMMAND,
    Cause.MISSING,
    Cause.EARLY,
    Cause.GAVE_NOTHING,
    Cause.TOOK_NOTHING,
    Cause.LIMIT,
    Cause.UNFIT,
)
_FAULT_OF_BOTH = (Cause.LINE, Cause.SIGNAL, Cause.ORPHAN)


@dataclass(frozen=True)
class Gauge:
    """What an end measures: its connections, the segments that it sent again, and how full its buffer is, 0 to 1."""

    flows: int
    retransmitted: int
    buffer: float


class End:
    """Runs a stage's command behind one end of the stream, with `python` on the stage's host, or here with a `relay`.

    `bytes`: how many the command has given or taken. `gauge`: what it told last of its side of the line. `port`: where
    it listens and `seal`: what it seals with, once it does. `outcome`: why it ended, once it has told.
    """

    def __init__(self, stage: Stage, orders: Orders, python: str, relay: Relay | None = None) -> None:
        self.stage = stage
        if relay is None:
            tell(stage.host.name, stage.command.argv)
        self._relay = relay
        program_here = Stage(relay or stage.host, Command(end_argv(python)), stage.descriptor)
        argv = program_here.host.exec_argv(program_here.command)
        self.running = Running(program_here, argv, fed=True, heard=True)
        self.bytes = 0
        self.gauge: Gauge | None = None
        self.port: int | None = None
        self.seal = ""
        self.outcome: Cause | None = None
        self.over = False
        self._text = ""
        self._status: int | None = None
        self._line = b""
        self._rate = orders.rate
        self._say(program() + json.dumps(asdict(orders)).encode() + b"\n")

    def hold_to(self, rate: float | None) -> None:
        """Have it send at this rate from now on, in bytes a second (None: no limit)."""
        if rate != self._rate and not self.over:
            self._rate = rate
            self._say(json.dumps({"rate": rate}).encode() + b"\n")

    def _say(self, text: bytes) -> None:
        left = memoryview(text)
        with contextlib.suppress(BrokenPipeError):
            while left:
                left = left[os.write(self.running.input, left) :]

    @property
    def failed(self) -> bool:
        """Whether it has ended, and not well; one whose process is about to end has not failed."""
        return self.over and not (self.outcome is Cause.DONE and self.running.status in {None, 0})

    @property
    def done(self) -> bool:
        """Whether it ended, and well, and says so."""
        return self.outcome is Cause.DONE and self.running.status == 0

    @property
    def lost(self) -> bool:
        """Whether it has gone without a word, to the other end neither."""
        return self.over and self.outcome is None

    def hear(self) -> None:
        """Take in what it has told; its output has to be readable."""
        part = os.read(self.running.output, _LONGEST_LINE)
        self.over = not part
        *lines, self._line = (self._line + part).split(b"\n")
        self._line = self._line[:_LONGEST_LINE]
        for line in lines:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                self._take_in(json.loads(line))

    def _take_in(self, told: Mapping[str, object]) -> None:
        event = told["event"]
        if event == "ready":
            self.port, self.seal = _number(told["port"]), str(told["seal"])
        elif event == "progress":
            self.bytes = max(self.bytes, _number(told["bytes"]))
            buffer = _number(told["held"]) / max(1, _number(told["buffer"]))
            self.gauge = Gauge(_number(told["flows"]), _number(told["retransmitted"]), min(1.0, buffer))
        elif event == "ended":
            self.outcome = Cause(told["cause"])
            self._text = str(told["text"])
            self._status = None if told["status"] is None else _number(told["status"])
        elif event == "refused":
            LOG.warning("%s: a connection with %s was refused: %s", self.stage.host.name, told["peer"], told["why"])
        elif event == "departed":
            LOG.info("%s: a connection with %s came to nothing: %s", self.stage.host.name, told["peer"], told["why"])
        elif event == "lost":
            LOG.info("%s: the connection with %s was lost: %s", self.stage.host.name, told["peer"], told["why"])

    @property
    def guilt(self) -> int:
        """How likely it is the culprit when the stream has failed; 0 for the likeliest."""
        if self.outcome in _OWN_FAULT:
            return 0
        if self.outcome is None:
            return 1 if self.over else 4
        return 2 if self.outcome in _FAULT_OF_BOTH else 3

    def explained(self) -> Exception:
        """What its failure means: its command's own, its host's or the line's."""
        host, command = self.stage.host.name, self.stage.command
        if self.outcome is None:
            self.running.reap(_STATUS_SECONDS)
            return self.running.explained()
        self.running.hear()
        said = self.running.said.decode("utf-8", "replace")
        if self.outcome is Cause.COMMAND and self._relay:
            return self.stage.host.explain(command, self._status or 0, self.running.said)
        if self.outcome is Cause.COMMAND:
            return faults.explained(host, command, self._status or 0, self.running.said)
        if self.outcome is Cause.MISSING:
            return faults.missing_tool(host, command.argv[0])
        if self.outcome is Cause.EARLY:
            said += "it ended before it had read the whole stream"
            return CommandFailed(host, command.argv, self._status or 0, said)
        return HostError(
            f"On {host}, the stream through `{command.argv[0]}` was ended: {self._text}.", hint=self._hint()
        )

    def _hint(self) -> str:
        if self.outcome is Cause.LINE:
            return "Is its port open for the other side? Running it again is safe."
        if self.outcome in {Cause.GAVE_NOTHING, Cause.TOOK_NOTHING}:
            return "Is that machine overloaded, or its pool suspended? Running it again is safe."
        return "Running it again is safe."


def _number(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError("this is no number")
    return value
