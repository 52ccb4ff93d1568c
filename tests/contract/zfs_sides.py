"""Two hosts with ZFS, as the cases of zfs_suite.py see them: what they ask of both, and what is done there by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import pytest

from ec2zfs.errors import CommandFailed, Ec2zfsError, HostError
from ec2zfs.hosts.host import Host, Stage
from ec2zfs.model.replication import Replica
from ec2zfs.model.snapshot import Dataset, ResumeToken, Snapshot
from ec2zfs.plan.replication_steps import Transfer
from ec2zfs.tools.zfs import Zfs
from ec2zfs.tools.zfs_streams import decoded, meaning, receive_command, send_command
from ec2zfs.transport.transport import Transport

MIB = 1 << 20


class Hands(Protocol):
    """What is done to the two pools without commands of ours. Datasets and snapshots are named in full."""

    def create(self, dataset: str, *, sealed: bool = False) -> None:
        """Make a file system at the site, natively encrypted if it is `sealed`."""
        ...

    def assign(self, change: str, dataset: str) -> None:
        """Set a property of a dataset at the site (`name=value`)."""
        ...

    def snapshot(self, snapshot: str, mib: int) -> None:
        """Write so much that no compression makes smaller, and take a snapshot, at the site."""
        ...

    def series(self, snapshots: Sequence[str], change: str) -> None:
        """Take one empty snapshot after the other at the site, each with a user property (`name=value`)."""
        ...

    def destroy(self, snapshot: str) -> None:
        """Destroy a snapshot at the site."""
        ...

    def destroy_in_vain(self, snapshot: str) -> str:
        """Try to destroy a snapshot at the site; what ZFS says when it refuses, "" when it does not."""
        ...

    def hold(self, tag: str, snapshot: str) -> None:
        """Hold a snapshot at the site."""
        ...

    def clone(self, snapshot: str, dataset: str) -> None:
        """Make a dataset of a snapshot at the site."""
        ...

    def meddle(self, snapshot: str) -> None:
        """Take a snapshot of a copy, at the receiver."""
        ...

    def write_to(self, copy: str) -> None:
        """Write to a copy, at the receiver."""
        ...

    def leave_room(self, mib: int | None) -> None:
        """Let the receiver take so much more and no more; None: as much as it has."""
        ...


@dataclass(frozen=True)
class Sides:
    """Two hosts with ZFS. `source` is an empty file system; `target` is not there yet, what is above it is."""

    site: Host
    receiver: Host
    transport: Transport
    hands: Hands
    source: str
    target: str

    @property
    def replica(self) -> Replica:
        return Replica(self.source, self.target)

    def grown(self, name: str, mib: int = 1) -> Snapshot:
        """A new snapshot of the source, which holds so much more than the one before it."""
        self.hands.snapshot(f"{self.source}@{name}", mib)
        return self.of_source().snapshots[-1]

    def of_source(self) -> Dataset:
        found = Zfs(self.site).dataset(self.source)
        assert found
        return found

    def copy(self) -> Dataset | None:
        return Zfs(self.receiver).dataset(self.target)

    def copied(self) -> list[tuple[str, int]]:
        """The snapshots of the copy, by name and GUID."""
        copy = self.copy()
        return [(snapshot.name, snapshot.guid) for snapshot in copy.snapshots] if copy else []

    def partial(self) -> ResumeToken | None:
        copy = self.copy()
        return decoded(self.site, copy.partial) if copy and copy.partial else None

    def send(self, transfer: Transfer, lost_after: int | None = None) -> int:
        """Carry a stream; the number of its bytes. `lost_after`: the line is lost after so many."""
        passed = 0

        def heard(amount: int) -> None:
            nonlocal passed
            passed += amount
            if lost_after is not None and passed >= lost_after:
                raise HostError("the line is lost")

        self.carry(transfer, heard)
        return passed

    def carry(self, transfer: Transfer, meter: Callable[[int], None]) -> None:
        sender, receiver = Stage(self.site, send_command(transfer)), Stage(self.receiver, receive_command(transfer))
        self.transport.carry(sender, receiver, meter)

    def lose(self, transfer: Transfer, mib: int) -> ResumeToken:
        """Break a stream off after so much of it; what it leaves."""
        with pytest.raises(HostError, match="the line is lost"):
            self.send(transfer, lost_after=mib * MIB)
        token = self.partial()
        assert token
        return token

    def refused(self, transfer: Transfer) -> CommandFailed:
        """The failure of a stream that one of the two does not want."""
        with pytest.raises(CommandFailed) as caught:
            self.send(transfer)
        return caught.value

    def means(self, failure: CommandFailed) -> Ec2zfsError:
        return meaning(failure, self.replica)
