"""The first form of transport: through the ssh connections of the two hosts, by way of the controller.

Where the site is the controller itself, the stream goes straight from it. It holds no more than a few buffers of the
stream and knows nothing of ZFS.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ec2zfs.hosts.host import Stage
from ec2zfs.hosts.pipeline import run_pipeline


@dataclass(frozen=True)
class SshTransport:
    """Carries by `run_pipeline`. `idle_limit`: seconds without a byte after which the stream counts as dead.

    A live `zfs send` can be silent for long while it looks for what changed, and a dead host is noticed by ssh itself,
    so there is no idle limit unless one is asked for.
    """

    idle_limit: float | None = None

    def carry(self, sender: Stage, receiver: Stage, meter: Callable[[int], None]) -> None:
        """See `Transport.carry`."""
        run_pipeline((sender, receiver), meter, self.idle_limit)
