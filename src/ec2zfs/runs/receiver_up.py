"""The receiver for the time of a run: brought up, kept alive, and brought to rest again whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ec2zfs.execute.receiver import Receiver
from ec2zfs.hosts.host import Host
from ec2zfs.plan.receiver import UseRunning
from ec2zfs.runs.stages import Journal


def is_up(receiver: Receiver) -> bool:
    """Whether a receiver is up that the run would use. Raises `Refused` as `Receiver.start` would."""
    return isinstance(receiver.starting()[-1], UseRunning)


@contextmanager
def receiver_up(receiver: Receiver, journal: Journal, *, keep: bool, on_demand: bool = False) -> Iterator[Host]:
    """The receiver, ready and kept alive; stopped at the end of the block unless `keep`."""
    name, undo = ("leave the receiver up", lambda: None) if keep else ("stop the receiver", receiver.stop)
    with journal.undone_by(name, undo):
        with journal.stage("start the receiver") as stage:
            host = receiver.start(on_demand=on_demand)
            stage.outcome = f"{host.name} answers"
        with receiver.dead_man(host):
            yield host
