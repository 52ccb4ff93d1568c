"""The machine room as the API sees it, and a room without machines for tests of the API alone. Starts no process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from ec2zfs.lab.metadata import InstanceFacts


@dataclass(frozen=True)
class Order:
    """The machine that an instance needs.

    `address` is its public one (127.x.y.z), empty if it has none. `facts` is what its metadata service tells it.
    """

    instance_id: str
    address: str
    facts: Callable[[], InstanceFacts]


class MachineRoom(Protocol):
    """Makes real what the API says. Every method returns when it is done, and raises when it cannot be."""

    def watch(self, ended: Callable[[str], None]) -> None:
        """Call `ended(instance id)` whenever a machine ends that nobody stopped."""
        ...

    def start(self, order: Order, *, fresh: bool) -> None:
        """Start a machine: `fresh` from the image, else with its own root disk and attached volumes."""
        ...

    def stop(self, instance_id: str) -> None:
        """Shut a machine down; its disks stay."""
        ...

    def reboot(self, instance_id: str) -> None:
        """Reboot a machine."""
        ...

    def kill(self, instance_id: str) -> None:
        """End a machine as a failing host would."""
        ...

    def discard(self, instance_id: str) -> None:
        """End a machine if it runs, and remove its root disk."""
        ...

    def connect_network(self, instance_id: str, *, up: bool) -> None:
        """Pull the network cable of a machine, or plug it in again."""
        ...

    def console(self, instance_id: str) -> str:
        """All that the serial console printed."""
        ...

    def create_volume(self, volume_id: str, size_gib: int) -> None:
        """Make an empty disk."""
        ...

    def resize_volume(self, volume_id: str, size_gib: int) -> None:
        """Grow a disk, also while it is attached."""
        ...

    def delete_volume(self, volume_id: str) -> None:
        """Remove a disk; none of that id is no error."""
        ...

    def attach(self, instance_id: str, volume_id: str) -> None:
        """Plug a disk into a machine, running or not."""
        ...

    def detach(self, instance_id: str, volume_id: str, *, force: bool = False) -> None:
        """Unplug a disk; one that is not plugged in is no error. `TimeoutError`: the guest holds on to it.

        `force`: give it up even then, as a guest that has died will never let go.
        """
        ...


@dataclass
class NoMachines:
    """A room in which nothing happens: the API alone. `printed` is what every console shows."""

    printed: str = ""
    _ended: list[Callable[[str], None]] = field(default_factory=list)

    def watch(self, ended: Callable[[str], None]) -> None:
        """Remember whom to tell."""
        self._ended.append(ended)

    def start(self, order: Order, *, fresh: bool) -> None:
        """Do nothing."""

    def stop(self, instance_id: str) -> None:
        """Do nothing."""

    def reboot(self, instance_id: str) -> None:
        """Do nothing."""

    def kill(self, instance_id: str) -> None:
        """End: also what a guest does that powers itself off."""
        for ended in self._ended:
            ended(instance_id)

    def discard(self, instance_id: str) -> None:
        """Do nothing."""

    def connect_network(self, instance_id: str, *, up: bool) -> None:
        """Do nothing."""

    def console(self, instance_id: str) -> str:  # noqa: ARG002
        """Return the text that it was given."""
        return self.printed

    def create_volume(self, volume_id: str, size_gib: int) -> None:
        """Do nothing."""

    def resize_volume(self, volume_id: str, size_gib: int) -> None:
        """Do nothing."""

    def delete_volume(self, volume_id: str) -> None:
        """Do nothing."""

    def attach(self, instance_id: str, volume_id: str) -> None:
        """Do nothing."""

    def detach(self, instance_id: str, volume_id: str, *, force: bool = False) -> None:
        """Do nothing."""
