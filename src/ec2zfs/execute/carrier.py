"""How the streams of a run travel: chosen once, before the first of them, and told with the reason.

The receiver's ports are open only from the probe to the end of the last stream, and only where streams use them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from ec2zfs.errors import CloudError, CredentialsError, HostError
from ec2zfs.hosts.host import Host
from ec2zfs.model.stream_mode import StreamMode
from ec2zfs.transport.probe import Barrier
from ec2zfs.transport.transport import Transport

SMALL = 8 << 20
"""Bytes below which a stream is over before another way than ssh has begun: two programs to start, some round trips."""


@dataclass(frozen=True)
class Carriage:
    """What carries, and why it is that, in a sentence ("": nothing to say); streams below `small` bytes go by `ssh`."""

    transport: Transport
    words: str = ""
    ssh: Transport | None = None
    small: int = 0

    def of(self, size: int | None) -> Transport:
        """What carries a stream of about so many bytes (None: nobody knows)."""
        return self.ssh if self.ssh and size is not None and size < self.small else self.transport


class Carrier(Protocol):
    """Has streams carried to and from a receiver."""

    def ready(self, receiver: Host, sizes: Sequence[int | None]) -> AbstractContextManager[Carriage]:
        """What carries streams of about these sizes in bytes (None: nobody knows) during the block."""
        ...


@dataclass(frozen=True)
class Fixed:
    """A `Carrier` without a choice."""

    carriage: Carriage

    @contextmanager
    def ready(self, receiver: Host, sizes: Sequence[int | None]) -> Iterator[Carriage]:
        """See `Carrier.ready`."""
        del receiver, sizes
        yield self.carriage


@dataclass(frozen=True)
class Chosen:
    """A `Carrier` by the configured mode; `ssh` is one ssh connection, `striped` several.

    `admitted` opens the receiver's ports for the time of a block. `barrier` says what keeps `direct` from being used
    with a receiver whose ports are open. With AUTO, streams below `small` bytes go through one ssh connection.
    """

    mode: StreamMode
    direct: Transport
    striped: Transport
    ssh: Transport
    admitted: Callable[[], AbstractContextManager[None]]
    barrier: Callable[[Host], Barrier]
    small: int = SMALL

    @contextmanager
    def ready(self, receiver: Host, sizes: Sequence[int | None]) -> Iterator[Carriage]:
        """See `Carrier.ready`. Raises `HostError` and `CloudError` for a `direct` that is ordered and cannot be."""
        if self.mode is StreamMode.SSH:
            yield Carriage(self.ssh, "The stream goes through ssh, as transport.mode says.")
            return
        if self.mode is StreamMode.SSH_STRIPED:
            yield Carriage(self.striped, "The stream goes through several ssh connections, as transport.mode says.")
            return
        small = self.small if self.mode is StreamMode.AUTO else 0
        if sizes and all(size is not None and size < small for size in sizes):
            yield Carriage(self.ssh, f"The streams go through ssh: each is smaller than {small >> 20} MiB.")
            return
        with ExitStack() as opened:
            barred = self._barred(receiver, opened)
            if not barred.words:
                words = f"The stream goes directly to {receiver.name}, over several connections."
                yield Carriage(self.direct, words, self.ssh, small)
                return
            opened.close()
            if barred.serves:
                words = f"The stream goes through several ssh connections: {barred.words}."
                yield Carriage(self.striped, words, self.ssh, small)
            else:
                yield Carriage(self.ssh, f"The stream goes through ssh: {barred.words}.")

    def _barred(self, receiver: Host, opened: ExitStack) -> Barrier:
        refusal = ""
        try:
            opened.enter_context(self.admitted())
        except (CloudError, CredentialsError) as error:
            if self.mode is StreamMode.DIRECT:
                raise
            refusal = f"its ports could not be opened ({error.message.rstrip('.')})"
        barred = self.barrier(receiver)
        if barred.words and self.mode is StreamMode.DIRECT:
            raise HostError(
                f"The stream cannot go directly: {barred.words}.",
                hint='Open the way for it, or set transport.mode = "auto": then it goes through ssh.',
            )
        return replace(barred, words=refusal) if refusal else barred
