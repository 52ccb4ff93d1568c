"""What `pool status` sees: EC2's volumes, and the receiver's view if one is up and answers. Looks only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ec2zfs.errors import AlreadyRunning, CloudError, Ec2zfsError, HostError, HostKeyChanged, HostKeyUnknown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ec2zfs.cli.session import Session
    from ec2zfs.execute.pool import CloudPool
    from ec2zfs.model.contents import ReceiverView
    from ec2zfs.model.volume import Volume


@dataclass(frozen=True)
class Sight:
    """One look. `view` is None when no receiver is up, and when it could not be seen, which `failure` tells.

    `receiver` is its name, or why there is none.
    """

    volumes: Sequence[Volume]
    receiver: str
    view: ReceiverView | None = None
    failure: Ec2zfsError | None = None

    @property
    def state(self) -> str:
        """How a pool that is not imported stands, in a word or two."""
        if self.failure:
            return "unknown"
        if self.view and self.view.mappings:
            return "half open"
        return "locked" if self.volumes else "absent"


class Lookout:
    """Looks as often as it is asked to, over one connection as long as that holds."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._pool: CloudPool | None = None
        self._receiver = ""
        self._volumes: Sequence[Volume] | None = None

    def look(self) -> Sight:
        """Look once. Only the first look needs EC2's answer; a receiver that is not to be trusted is never passed over.

        Raises `CloudError`, `CredentialsError`, `HostKeyChanged`, `HostKeyUnknown`.
        """
        failure = self._ask_ec2()
        volumes = self._volumes or ()
        if failure:
            return Sight(volumes, self._receiver, failure=failure)
        try:
            if self._pool is None and not self._reach():
                return Sight(volumes, "none is up")
            return Sight(volumes, self._receiver, self._pool.look(detail=True) if self._pool else None)
        except (HostKeyChanged, HostKeyUnknown):
            raise
        except HostError as error:
            self._pool = None
            return Sight(volumes, self._receiver, failure=error)
        except (AlreadyRunning, CloudError) as error:
            return Sight(volumes, self._receiver, failure=error)

    def _ask_ec2(self) -> CloudError | None:
        try:
            self._volumes = self._session.fleet.volumes()
        except CloudError as error:
            if self._volumes is None:
                raise
            return error
        return None

    def _reach(self) -> bool:
        """Connect to the receiver that is up; whether one is."""
        try:
            self._receiver = self._session.running_receiver().id
        except HostError:
            self._receiver = ""
            return False
        host = self._session.receiver.reach()
        self._pool, self._receiver = self._session.cloud_pool(host), host.name
        return True
