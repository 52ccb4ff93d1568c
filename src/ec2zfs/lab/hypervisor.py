"""The machine room: QEMU machines that follow what the API says, and sparse files that are its volumes.

It touches its own directory and the machines in it, nothing else. What the API allows is decided before it is asked.
Unlike on EC2, a security group closes nothing here: a machine's ports for ssh and streams are always open on its
loopback address, and all machines have the same memory, whatever their instance type.
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

    `stream_ports`: the first and the last port on which a guest may take streams. `shutdown_seconds`: how long a guest
    may take to shut down before it is killed. `look_seconds`: how often is looked whether machines still run.
    """

    memory_mib: int = 2048
    ssh_port: int = 2222
    stream_ports: tuple[int, int] = (28300, 28307)
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
        # Guards both maps, which every transition's thread changes. Never held while a machine is asked for anything.
        self._lock = threading.Lock()
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
        spec = MachineSpec(
            name, hardware.memory_mib, address, hardware.ssh_port, metadata.port, home, hardware.stream_ports
        )
        try:
            place = _Place(self._make(spec), metadata)
            self._enter(name, place)
            place.machine.start(fresh=fresh)
            self._keep(name, place)
        except BaseException:
            metadata.close()
            raise
        return place.machine

    def stop(self, instance_id: str) -> None:
        """Press the power button and wait; kill the machine when it takes too long."""
        with self._lock:
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
        self._machine(instance_id).reboot()

    def kill(self, instance_id: str) -> None:
        """SIGKILL; the watcher sees the machine end."""
        self._machine(instance_id).kill()

    def discard(self, instance_id: str) -> None:
        """End a machine and remove its files; volumes stay."""
        with self._lock:
            place = self._places.pop(instance_id, None)
            if place is None:
                return
            place.wanted = False
            for volume_id in [volume for volume, owner in self._attached.items() if owner == instance_id]:
                del self._attached[volume_id]
        place.machine.discard()
        place.metadata.close()

    def connect_network(self, instance_id: str, *, up: bool) -> None:
        """Pull the cable, or plug it in."""
        self._machine(instance_id).connect_network(up=up)

    def console(self, instance_id: str) -> str:
        """What the serial console printed; empty before the first start."""
        with self._lock:
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
        with self._lock:
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
        self._machine(instance_id).attach(Disk(serial(volume_id), self._file(volume_id)))
        with self._lock:
            if instance_id in self._places:
                self._attached[volume_id] = instance_id

    def detach(self, instance_id: str, volume_id: str, *, force: bool = False) -> None:
        """Unplug it. `TimeoutError` when the guest does not let go, which one that lives always does, even of a disk in
        use; with `force` it is out of the room's books then, though its QEMU has the file open until it ends.
        """
        with self._lock:
            place = self._places.get(instance_id)
            if place is None or self._attached.get(volume_id) != instance_id:
                return
        try:
            place.machine.detach(serial(volume_id))
        except MachineError as error:
            if not force:
                raise TimeoutError(str(error)) from error
            log.warning("%s was detached by force: %s", volume_id, error)
        with self._lock:
            self._attached.pop(volume_id, None)

    @property
    def closed(self) -> bool:
        """Whether `close()` was called: nobody need wait for a machine any more."""
        return self._closing.is_set()

    def close(self) -> None:
        """End every machine and remove its files, those that start just now as well; volumes stay."""
        self._closing.set()
        self._watcher.join()
        with self._lock:
            names = tuple(self._places)
        for name in names:
            self.discard(name)

    def _enter(self, name: str, place: _Place) -> None:
        with self._lock:
            if self.closed:
                raise MachineError(f"The lab's machine {name} does not start: the lab goes down.")
            self._places[name] = place

    def _keep(self, name: str, place: _Place) -> None:
        with self._lock:
            place.wanted = self._places.get(name) is place
        if not place.wanted:
            # Whoever discarded it may have found nothing to end yet.
            place.machine.discard()
            raise MachineError(f"The lab's machine {name} was discarded while it started.")

    def _machine(self, name: str) -> Machine:
        with self._lock:
            return self._places[name].machine

    def _file(self, name: str) -> Path:
        return self.directory / "volumes" / f"{name}.raw"

    def _look_on(self) -> None:
        while not self._closing.wait(self._hardware.look_seconds):
            with self._lock:
                places = tuple(self._places.items())
            for name, place in places:
                try:
                    self._look_at(name, place)
                except Exception:
                    log.exception("The look at the machine %s failed", name)

    def _look_at(self, name: str, place: _Place) -> None:
        if not place.wanted or place.machine.running():
            return
        with self._lock:
            by_itself, place.wanted = place.wanted, False
        if by_itself and self._ended:
            log.info("The machine %s has ended", name)
            self._ended(name)


def serial(volume_id: str) -> str:
    """A volume's serial number, as on Nitro: the id without its dash, 20 characters (fact 8)."""
    return volume_id.replace("-", "")
