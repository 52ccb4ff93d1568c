"""The seam behind which a stream travels. Decides nothing about ZFS: to it a stream is bytes between two commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ec2zfs.hosts.host import Stage
from ec2zfs.model.line import Line


def unwatched(_: Line) -> None:
    """Watch nothing."""


class Transport(Protocol):
    """Carries what one command prints to the standard input of another, wherever the two stand."""

    def carry(
        self,
        sender: Stage,
        receiver: Stage,
        meter: Callable[[int], None],
        watch: Callable[[Line], None] = unwatched,
    ) -> None:
        """Run both to their ends; `meter` hears the number of bytes of each piece as it passes.

        `watch` hears about once a second how the line stands, if this transport can tell; what either raises ends all.

        Returns only when both ended well. Else raises what `Host.explain` makes of the true culprit: `CommandFailed`,
        `HostError` or `HostKeyChanged`; or `Halted` in a thread that is to end. Whatever happens, no process of it is
        left. Several threads may carry at the same time.
        """
        ...
