"""A machine of the lab without QEMU: it remembers what it was told, and ends when a test says so."""

from __future__ import annotations

from ec2zfs.lab.machines.machine import Disk, Machine, MachineSpec
from ec2zfs.lab.machines.qmp import MachineError


class FakeMachine(Machine):
    """Runs from `start` on. `stubborn`: it ignores its power button; `clinging`: it does not let go of disks."""

    def __init__(self, spec: MachineSpec) -> None:
        self.spec = spec
        self.told: list[str] = []
        self.plugged: dict[str, Disk] = {}
        self.sizes: dict[str, int] = {}
        self.stubborn = False
        self.clinging = False
        self._runs = False

    def start(self, *, fresh: bool) -> None:
        self.spec.directory.mkdir(exist_ok=True)
        self.told.append("start fresh" if fresh else "start again")
        self._runs = True

    def running(self) -> bool:
        return self._runs

    def power_off(self) -> None:
        self.told.append("power off")
        self._runs = self._runs and self.stubborn

    def kill(self) -> None:
        self.told.append("kill")
        self._runs = False

    def reboot(self) -> None:
        self.told.append("reboot")

    def attach(self, disk: Disk) -> None:
        self.plugged[disk.serial] = disk

    def detach(self, serial: str, timeout: float = 30.0) -> None:
        if self.clinging:
            raise MachineError("it does not let go")
        del self.plugged[serial]

    def resize(self, serial: str, size_bytes: int) -> None:
        self.sizes[serial] = size_bytes

    def disks(self) -> tuple[Disk, ...]:
        return tuple(self.plugged.values())

    def console(self) -> str:
        return f"console of {self.spec.name}\n"

    def connect_network(self, *, up: bool) -> None:
        self.told.append("plug in" if up else "pull out")

    def discard(self) -> None:
        self.told.append("discard")
        self._runs = False
