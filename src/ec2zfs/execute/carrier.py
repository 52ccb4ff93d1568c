"""How the streams of a run travel: chosen once, before the first of them, and told with the reason.

The receiver's ports are open only from the probe to the end of the last stream, and only where streams use them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol

from ec2zfs.errors import CloudError, CredentialsError, HostError
from ec2zfs.hosts.host import Host
from ec2zfs.model.stream_mode import StreamMode
from ec2zfs.transport.transport import Transport


@dataclass(frozen=True)
class Carriage:
    """What carries, and why it is that, in a sentence ("": nothing to say)."""

    transport: Transport
    words: str = ""


class Carrier(Protocol):
    """Has streams carried to and from a receiver."""

    def ready(self, receiver: Host) -> AbstractContextManager[Carriage]:
        """What carries during the block."""
        ...


@dataclass(frozen=True)
class Fixed:
    """A `Carrier` without a choice."""

    carriage: Carriage

    @contextmanager
    def ready(self, receiver: Host) -> Iterator[Carriage]:
        """See `Carrier.ready`."""
        del receiver
        yield self.carriage


@dataclass(frozen=True)
class Chosen:
    """A `Carrier` by the configured mode; `ssh` is one ssh connection, or for SSH_STRIPED several.

    `admitted` opens the receiver's ports for the time of a block. `barrier` says what keeps `direct` from being used
    with a receiver whose ports are open, "" for nothing.
    """

    mode: StreamMode
    direct: Transport
    ssh: Transport
    admitted: Callable[[], AbstractContextManager[None]]
    barrier: Callable[[Host], str]

    @contextmanager
    def ready(self, receiver: Host) -> Iterator[Carriage]:
        """See `Carrier.ready`. Raises `HostError` and `CloudError` for a `direct` that is ordered and cannot be."""
        if self.mode is StreamMode.SSH:
            yield Carriage(self.ssh, "The stream goes through ssh, as transport.mode says.")
            return
        if self.mode is StreamMode.SSH_STRIPED:
            yield Carriage(self.ssh, "The stream goes through several ssh connections, as transport.mode says.")
            return
        with ExitStack() as opened:
            if barred := self._barred(receiver, opened):
                opened.close()
                yield Carriage(self.ssh, f"The stream goes through ssh: {barred}.")
            else:
                yield Carriage(self.direct, f"The stream goes directly to {receiver.name}, over several connections.")

    def _barred(self, receiver: Host, opened: ExitStack) -> str:
        try:
            opened.enter_context(self.admitted())
            barred = self.barrier(receiver)
        except (CloudError, CredentialsError) as error:
            if self.mode is StreamMode.DIRECT:
                raise
            return f"its ports could not be opened ({error.message.rstrip('.')})"
        if barred and self.mode is StreamMode.DIRECT:
            raise HostError(
                f"The stream cannot go directly: {barred}.",
                hint='Open the way for it, or set transport.mode = "auto": then it goes through ssh.',
            )
        return barred
