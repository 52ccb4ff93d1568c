"""Carries a byte stream through commands that may stand on different hosts, and judges them by all of their ends.

Each stage's output passes through this process (bounded memory) to the next stage's input, so it is known which side
went away first: the culprit is the stage that failed, not one that lost its reader or writer by it. A stage sees the
end of its input only after the stage before has ended well; else all stages are ended, on all hosts, before any input
is closed. Knows nothing of what the bytes mean.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ec2zfs.errors import CommandFailed, HostError
from ec2zfs.hosts.flow import Flow
from ec2zfs.hosts.halting import TICK_SECONDS, heed
from ec2zfs.hosts.host import Stage
from ec2zfs.hosts.running import Running, end_all
from ec2zfs.hosts.secret import Secret
from ec2zfs.hosts.shelter import sheltered
from ec2zfs.hosts.throttle import Rate, Throttle, unlimited

_LAST_TICK_SECONDS = 0.01
"""How often to look for ends of processes when only these are awaited."""


@dataclass(frozen=True)
class IdleLimits:
    """Seconds of standstill after which all is ended: `taking` while a stage does not take what is there for it, as on
    a suspended pool; `giving` while no stage gives anything, as a `zfs send` may for long that looks for changes.
    """

    taking: float
    giving: float


def _unmetered(_: int) -> None:
    """Count nothing."""


def run_pipeline(
    stages: Sequence[Stage],
    meter: Callable[[int], None] = _unmetered,
    limits: IdleLimits | None = None,
    rate: Rate = unlimited,
) -> None:
    """Run two or more stages to their end.

    `meter` hears the number of bytes each time that some pass from the first stage to the second; what it raises ends
    all stages. `rate`: bytes a second that may pass there. The first stage may have a `stdin`; the last stage's output
    is dropped; the commands' own time limits do not apply, but if no byte passes anywhere for longer than `limits`
    allow, `HostError` names the side at fault.
    Raises what `Host.explain` says of the culprit, and `Halted` in a thread that is to end.
    """
    if len(stages) < 2 or any(stage.command.stdin is not None for stage in stages[1:]):
        raise ValueError("a pipeline has two stages or more, and only the first can be given an input")
    running: list[Running] = []
    try:
        for place, stage in enumerate(stages):
            fed = place > 0 or stage.command.stdin is not None
            argv = stage.host.exec_argv(stage.command)  # which may connect first
            with sheltered():
                running.append(Running(stage, argv, fed=fed, heard=place < len(stages) - 1))
        _Pipeline(running, meter, limits, Throttle(rate)).carry()
    except BaseException:
        end_all(running)
        raise
    finally:
        for started in running:
            started.close()


class _Pipeline:
    def __init__(
        self, running: Sequence[Running], meter: Callable[[int], None], limits: IdleLimits | None, throttle: Throttle
    ) -> None:
        self._running = running
        self._limits = limits
        meters = (meter, *(_unmetered for _ in running[2:]))
        throttles = (throttle, *(Throttle(unlimited) for _ in running[2:]))
        pairs = zip(running, running[1:], meters, throttles, strict=False)
        self._flows = [Flow(writer.output, reader.input, heard, throttle=at) for writer, reader, heard, at in pairs]
        self._feed = _feed(running[0])

    def carry(self) -> None:
        """Move bytes until all stages have ended well. Raises for the culprit, and for a standstill."""
        moved = time.monotonic()
        while not self._over():
            heed()
            if self._turn():
                moved = time.monotonic()
            self._judge()
            self._pass_ends_on()
            self._require_movement(time.monotonic() - moved)
        self._judge()  # of what ended after the last look

    def _over(self) -> bool:
        return all(stage.status is not None for stage in self._running) and all(flow.done for flow in self._flows)

    def _turn(self) -> bool:
        flows = {awaited[0]: (flow, awaited[1]) for flow in self._all_flows() if (awaited := flow.awaited)}
        errors = {stage.errors: stage for stage in self._running if stage.errors is not None}
        poll = select.poll()
        for number, (_, event) in flows.items():
            poll.register(number, event)
        for number in errors:
            poll.register(number, select.POLLIN)
        held_back = max(flow.held_back for flow in self._flows)
        seconds = min(TICK_SECONDS, held_back) if held_back else TICK_SECONDS if flows or errors else _LAST_TICK_SECONDS
        ready = {number for number, _ in poll.poll(seconds * 1000)}
        for number in ready & errors.keys():
            errors[number].hear()
        return sum(flows[number][0].step() for number in ready & flows.keys()) > 0

    def _all_flows(self) -> Sequence[Flow]:
        return self._flows if self._feed is None else (self._feed, *self._flows)

    def _judge(self) -> None:
        failed = sorted((stage for stage in self._running if stage.failed), key=lambda stage: stage.pipe_victim)
        if failed:
            raise failed[0].explained()
        for flow, reader in zip(self._flows, self._running[1:], strict=True):
            if flow.broken and reader.status is not None:
                raise _left_early(reader)

    def _pass_ends_on(self) -> None:
        if self._feed is not None and (self._feed.done or self._feed.broken):
            self._feed = None
            self._running[0].finish_input()
        for flow, writer, reader in zip(self._flows, self._running, self._running[1:], strict=False):
            if flow.done and writer.status is not None:
                reader.finish_input()

    def _require_movement(self, idle: float) -> None:
        full = [reader for flow, reader in zip(self._flows, self._running[1:], strict=True) if flow.blocked]
        limit = idle if self._limits is None else self._limits.taking if full else self._limits.giving
        if idle <= limit:
            return
        silent = [stage for stage in self._running if stage.status is None]
        stage, fault = (full[-1], "took no data") if full else ((silent or self._running)[0], "gave no data")
        raise HostError(
            f"{stage.name} {fault} for {limit:g} s, so all was ended.",
            hint="Is that machine overloaded, or its pool suspended? Running it again is safe.",
        )


def _feed(first: Running) -> Flow | None:
    given = first.stage.command.stdin
    if given is None:
        return None
    return Flow(None, first.input, _unmetered, given.reveal() if isinstance(given, Secret) else given)


def _left_early(reader: Running) -> CommandFailed:
    reader.hear()
    said = reader.said.decode("utf-8", "replace") + "it ended before it had read the whole stream"
    return CommandFailed(reader.stage.host.name, reader.stage.command.argv, reader.status or 0, said)
