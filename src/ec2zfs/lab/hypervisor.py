"""The machine room: QEMU machines that follow what the API says, and sparse files that are its volumes.

It touches its own directory and the machines in it, nothing else. What the API allows is decided before it is asked.
Unlike on EC2, a security group closes nothing here: a machine's ssh port is always open on its loopback address, and
all machines have the same memory, whatever their instance type.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ec2zfs.lab.api.room import Order
from ec2zfs.lab.environment import loopback_address
from ec2zfs.lab.machines.machine import Disk, Machine, MachineSpec
from ec2zfs.lab.machines.qmp import MachineError
from ec2zfs.lab.metadata import InstanceFacts, MetadataServer

log = logging.getLogger(__name__)

GIB = 1024**3


@dataclass(frozen=True)
class Hardware:
    """What all machines of a room have in common; a warm start needs one size of memory.

    `shutdown_seconds`: how long a guest may take to shut down before it is killed. `look_seconds`: how often is looked
    whether machines still run.
    """

    memory_mib: int = 2048
    ssh_port: int = 2222
    shutdown_seconds: float = 60.0
    look_seconds: float = 0.25


@dataclass
class _Place:
    """A machine in its place, with its metadata server. `wanted`: it should be running."""

    machine: Machine
    metadata: MetadataServer
    wanted: bool = False


class Hypervisor:
    """A `MachineRoom` of QEMU machines below `directory`. `make` builds a machine (a test passes its own)."""

    def __init__(self, directory: Path, hardware: Hardware, make: Callable[[MachineSpec], Machine] = Machine) -> None:
        self.directory = directory
        self._hardware = hardware
        self._make = make
        self._places: dict[str, _Place] = {}
        self._attached: dict[str, str] = {}
        self._ended: Callable[[str], None] | None = None
        self._closing = threading.Event()
        self._watcher = threading.Thread(target=self._look_on, name="machines", daemon=True)
        (directory / "volumes").mkdir(parents=True, exist_ok=True)
        self._watcher.start()

    def watch(self, ended: Callable[[str], None]) -> None:
        """Tell `ended` of machines that end by themselves."""
        self._ended = ended

    def start(self, order: Order, *, fresh: bool) -> None:
        """Start a machine and return when QEMU runs it."""
        self.boot(order.instance_id, order.address or loopback_address(), order.facts, fresh=fresh)

    def boot(self, name: str, address: str, facts: Callable[[], InstanceFacts], *, fresh: bool) -> Machine:
        """Start the machine `name`, which is told `facts` and reached at `address`. Raises MachineError, Refused."""
        metadata = MetadataServer(facts)
        home, hardware = self.directory / "machines" / name, self._hardware
        home.parent.mkdir(exist_ok=True)
        machine = self._make(
            MachineSpec(name, hardware.memory_mib, address, hardware.ssh_port, metadata.port, home),
        )
        place = self._places[name] = _Place(machine, metadata)
        try:
            machine.start(fresh=fresh)
        except BaseException:
            metadata.close()
            raise
        place.wanted = True
        return machine

    def stop(self, instance_id: str) -> None:
        """Press the power button and wait; kill the machine when it takes too long."""
        place = self._places[instance_id]
        place.wanted = False
        place.machine.power_off()
        deadline = time.monotonic() + self._hardware.shutdown_seconds
        while place.machine.running() and time.monotonic() < deadline:
            time.sleep(0.05)
        place.machine.kill()
        place.metadata.close()

    def reboot(self, instance_id: str) -> None:
        """Reboot the guest."""
        self._places[instance_id].machine.reboot()

    def kill(self, instance_id: str) -> None:
        """SIGKILL; the watcher sees the machine end."""
        self._places[instance_id].machine.kill()

    def discard(self, instance_id: str) -> None:
        """End a machine and remove its files; volumes stay."""
        place = self._places.pop(instance_id, None)
        if place is None:
            return
        place.wanted = False
        place.machine.discard()
        place.metadata.close()
        self._attached = {volume: owner for volume, owner in self._attached.items() if owner != instance_id}

    def connect_network(self, instance_id: str, *, up: bool) -> None:
        """Pull the cable, or plug it in."""
        self._places[instance_id].machine.connect_network(up=up)

    def console(self, instance_id: str) -> str:
        """What the serial console printed; empty before the first start."""
        place = self._places.get(instance_id)
        return place.machine.console() if place else ""

    def create_volume(self, volume_id: str, size_gib: int) -> None:
        """Make a sparse file that only we can read."""
        self.make_disk(volume_id, size_gib * GIB)

    def make_disk(self, name: str, size: int) -> Path:
        """Make a sparse file of `size` bytes below `volumes/`; its path."""
        path = self._file(name)
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        os.truncate(descriptor, size)
        os.close(descriptor)
        return path

    def resize_volume(self, volume_id: str, size_gib: int) -> None:
        """Grow the file; a machine that has it sees the new size."""
        owner = self._places.get(self._attached.get(volume_id, ""))
        if owner:
            owner.machine.resize(serial(volume_id), size_gib * GIB)
        else:
            os.truncate(self._file(volume_id), size_gib * GIB)

    def delete_volume(self, volume_id: str) -> None:
        """Remove the file."""
        self._file(volume_id).unlink(missing_ok=True)

    def attach(self, instance_id: str, volume_id: str) -> None:
        """Plug the file in under its serial number."""
        self._places[instance_id].machine.attach(Disk(serial(volume_id), self._file(volume_id)))
        self._attached[volume_id] = instance_id

    def detach(self, instance_id: str, volume_id: str) -> None:
        """Unplug it. `TimeoutError` when the guest does not let go."""
        place = self._places.get(instance_id)
        if place is None or self._attached.get(volume_id) != instance_id:
            return
        try:
            place.machine.detach(serial(volume_id))
        except MachineError as error:
            raise TimeoutError(str(error)) from error
        del self._attached[volume_id]

    @property
    def closed(self) -> bool:
        """Whether `close()` was called: nobody need wait for a machine any more."""
        return self._closing.is_set()

    def close(self) -> None:
        """End every machine and remove its files; volumes stay until their directory goes."""
        self._closing.set()
        self._watcher.join()
        for name in tuple(self._places):
            self.discard(name)

    def _file(self, name: str) -> Path:
        return self.directory / "volumes" / f"{name}.raw"

    def _look_on(self) -> None:
        while not self._closing.wait(self._hardware.look_seconds):
            for name, place in tuple(self._places.items()):
                if place.wanted and not place.machine.running():
                    place.wanted = False
                    log.info("The machine %s has ended", name)
                    if self._ended:
                        self._ended(name)


def serial(volume_id: str) -> str:
    """A volume's serial number, as on Nitro: the id without its dash, 20 characters (fact 8)."""
    return volume_id.replace("-", "")
