"""The first form of transport: through the ssh connections of the two hosts, by way of the controller.

Where the site is the controller itself, the stream goes straight from it. It holds no more than a few buffers of the
stream and knows nothing of ZFS.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ec2zfs.hosts.host import Stage
from ec2zfs.hosts.pipeline import IdleLimits, run_pipeline
from ec2zfs.model.line import Line
from ec2zfs.transport.limit import Limit
from ec2zfs.transport.transport import unwatched

LIMITS = IdleLimits(taking=1800.0, giving=6 * 3600.0)


@dataclass(frozen=True)
class SshTransport:
    """Carries by `run_pipeline`. `limits`: how long the stream may stand still before it counts as dead. `limit`: the
    rate of all streams together.

    A dead host is noticed by ssh itself; this is for one that lives and does not move, as a `zfs receive` into a
    suspended pool. A live `zfs send` can be silent for long while it looks for what changed.
    """

    limits: IdleLimits = LIMITS
    limit: Limit = field(default_factory=Limit)

    def carry(
        self,
        sender: Stage,
        receiver: Stage,
        meter: Callable[[int], None],
        watch: Callable[[Line], None] = unwatched,  # noqa: ARG002 - ssh tells nothing of its connection
    ) -> None:
        """See `Transport.carry`. Nothing but bytes is known of the line."""
        with self.limit.stream() as rate:
            run_pipeline((sender, receiver), meter, self.limits, rate)
